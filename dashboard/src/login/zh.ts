export const words = {
  login: { title: '登录', account: '账号', password: '密码', enter: '登录', failed: '登录未成功', to: '进入' },
}
export type Words = typeof words
