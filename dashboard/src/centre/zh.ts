export const words = {
  attention: {
    strip: '告警条',
    reds: '红 {n}',
    unanswered: '未接 {n}',
    since: '{time} 起',
    tabRed: '({n} 红) {name}',
    tabYellow: '({n} 未接) {name}',
    title: '急办',
    below: '其余 {n} 件在下方各阶段',
    rest: '其余 {n} 件',
    restAlarms: '其余 {n} 条',
    why: {
      opened: '规则建单',
      reported: '新上报',
      worse: '加重',
      idle: '无人处置',
      unacknowledged: '无人签收',
      support: '需支援',
      declined: '退回',
    },
  },
}
export type Words = typeof words
