// What the phone says, and all other screens too.
import { words } from '../mobile/zh'

export const phone = {
  app: {
    name: '智慧卯家湾',
    centre: '智慧卯家湾综治中心',
    demo: '演示',
    demoNote: '本站为模拟数据，人员与事件均为虚构',
    cutOff: '与指挥中心断开，最后更新 {time}，已 {n} 秒，正在重连',
    unsure: '指挥中心暂时读不到新数据，画面停在 {time}，已 {n} 秒，恢复后自动补齐',
    noFeed: '尚未取得数据，已 {n} 秒，正在连接',
    whole: '已恢复连接，数据已补齐（{from} 至 {at} 曾中断）',
    outdated: '页面版本与指挥中心不符，数据停在 {time}，请刷新页面',
    reload: '刷新',
    stale: '数据已过期 {n} 秒',
    loading: '正在取数',
    clockOff: '本机时钟偏差 {n} 秒',
    north: '北',
    metres: '{n} 米',
    theme: '深浅色',
    language: 'English',
    logout: '退出',
    people: '{n} 人',
  },
  level: { 0: '普通', 1: '黄色', 2: '红色' },
  role: {
    duty_officer: '值班员',
    dispatcher: '调度员',
    shift_chief: '值班长',
    department_clerk: '部门经办人',
    grid_manager: '网格管理员',
    wall_display: '大屏',
  },
  duty: { leader: '带班领导', chief: '值班长', officer: '值班员', vacant: '空岗' },
  stage: {
    reported: '待受理',
    rejected: '不予受理',
    merged: '已并单',
    accepted: '已受理',
    filed: '已建单',
    pending_approval: '待审批',
    approved: '待派遣',
    dispatched: '待签收',
    handling: '处置中',
    awaiting_verification: '待核查',
    verified: '待结案',
    closed: '已结案',
  },
  clock: {
    collect: '受理',
    analyse: '建单',
    approve: '审批',
    push: '送达',
    acknowledge: '签收',
    arrive: '到场',
    handle: '处置',
    verify: '核查',
  },
  ...words,
}
export type Phone = typeof phone
/** Where it was loaded from. */
export const url = import.meta.url
