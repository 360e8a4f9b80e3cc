export const words = {
  nav: { demo: '演示面板' },
  demo: {
    camera: '摄像头',
    department: '部门',
    accounts: '演示账号',
    screen: { wall: '大屏', console: '指挥台', mobile: '手机' },
    screenIs: {
      wall: '挂在中心墙上，只看不操作',
      console: '中心里办理事件的人，按键就能办',
      mobile: '在外面的人，断网也能用',
    },
    who: {
      wall_display: '不是人，是那面墙：看全区态势、视频巡逻和最要紧的一件事，不显示住户姓名。',
      duty_officer: '接电话、看告警：确认、判定、建事件，并派给部门。',
      dispatcher: '接手已建的事件：派遣、改派、撤回、核查、结案。',
      shift_chief: '本班负责人：除以上各项外还能审批、安排值班、签发设备口令。',
      leader: '当天对全局负责：权限同值班长，大屏上写着名字，红色事件首先向他报告。',
      department_clerk: '各部门和物业、维保值班的人：收到派给本单位的任务，签收、出发、到场、拍照反馈。',
      grid_manager: '一个网格的管理员：收到派给网格的任务，看得到本网格的事件。',
    },
    title: '演示面板',
    fire: '失火',
    building: '楼栋',
    start: '开始',
    stop: '全部恢复',
    active: '进行中',
    none: '没有进行中的情况',
    kinds: '情况',
    note: '只有演示环境有此面板；所发生的都经过真实的传感器、短信与接口。',
  },
}
export type Words = typeof words
