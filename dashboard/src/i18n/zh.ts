export const zh = {
  app: {
    name: '智慧卯家湾', centre: '智慧卯家湾综治中心', demo: '演示', demoNote: '本站为模拟数据，人员与事件均为虚构',
    cutOff: '与指挥中心断开，最后更新 {time}，已 {n} 秒，正在重连', noFeed: '尚未取得数据，已 {n} 秒，正在连接', whole: '已恢复连接，数据已补齐（{from} 至 {at} 曾中断）', outdated: '页面版本与指挥中心不符，数据停在 {time}，请刷新页面', reload: '刷新', stale: '数据已过期 {n} 秒', loading: '正在取数',
    clockOff: '本机时钟偏差 {n} 秒', north: '北', metres: '{n} 米', theme: '深浅色', language: 'English', logout: '退出', people: '{n} 人',
  },
  level: { 0: '普通', 1: '黄色', 2: '红色' },
  levelName: { normal: '普通', yellow: '黄色', red: '红色' },
  levelShort: { 0: '普通', 1: '黄', 2: '红', unknown: '未知', clear: '无未结' },
  role: {
    duty_officer: '值班员', dispatcher: '调度员', shift_chief: '值班长', department_clerk: '部门经办人', grid_manager: '网格管理员',
    wall_display: '大屏',
  },
  login: { title: '登录', account: '账号', password: '密码', enter: '登录', failed: '登录未成功', to: '进入' },
  nav: { dispatch: '调度', wall: '大屏', devices: '设备', messages: '短信', patrols: '巡逻', demo: '演示面板' },
  duty: { leader: '带班领导', chief: '值班长', officer: '值班员', vacant: '空岗' },
  figure: {
    open: '未办结', over: '超时', done: '今日已办', cameras: '在线摄像头', waiting: '待签收与最长等待', link: '链路', none: '无等待', unknown: '未知',
  },
  link: { open: '正常', connecting: '连接中', stale: '过期', down: '断开' },
  plan: { title: '辖区态势', legendClear: '无未结 {n}', legendPending: '待判 {n}' },
  focus: {
    calm: '当前无红色、黄色事件', calmLast: '上一起红色事件 {time} 已结案', calmNone: '没有已结案的红色事件记录', elapsed: '已历时',
    case: '事件 {id}', filedAt: '{time} 建单', raisedAt: '{time} 告警', alarm: '告警 待判定',
    registered: '在册', care: '需照护', minors: '未成年', grid: '网格', household: '{h} 户 {p} 人',
    today: '今日上报', closed: '已办结', handling: '处置中', waiting: '待签收', cases: '{n} 件', noTasks: '尚未推送', moreTasks: '其余 {n} 项任务', moreSources: '其余 {n} 个来源',
  },
  patrol: {
    data: '数据巡逻', video: '视频巡逻', message: '信息巡逻', departments: '{n} / {total} 部门', cameras: '{n} / {total} 路', late: '未到数：{units}', allIn: '全部到数', awaiting: '等待到数', round: '第 {n} 轮', today: '今日 {n} 条', latest: '最近 {time}', checked: '{n} / {total}', running: '进行中',
    lastData: '最后到数 {time}', since: '自', runs: '{n} 次', plan: '已计划', done: '完成', lightNote: '绿灯按时，黄灯迟到，红灯中断；数据迟到由数据巡逻自动发现',
    subject: { vacant_power: '空置房用电 住建比对能源', 96885: '短信平台 96885' },
    findings: '发现 {n}', started: '{time} 开始', finished: '{time} 完成', none: '尚无记录', planned: '计划 {time}',
    what: {
      frozen: '画面停滞', black: '画面黑屏', offline: '离线', stale: '数据过期', rule_hit: '规则命中', message: '短信', unreadable: '无法读取',
    },
  },
  tour: { title: '视频巡逻', group: '{name} 第 {n} / {total} 组', next: '下一组 {time}', none: '没有巡逻路线' },
  alarm: {
    title: '告警', unconfirmed: '未确认 {n}', total: '共 {n}', current: '当前 {n}', none: '无未恢复告警', today: '今日 {n} 条', more: '其余 {n} 条',
    state: { active: '未确认', activeConfirmed: '已确认', cleared: '已恢复 未确认', clearedConfirmed: '已恢复 已确认', awaiting: '已确认 待判定' },
    verdict: { genuine: '属实', false: '误报', test: '测试', maintenance: '检修' },
    shelved: '屏蔽至 {time}', times: '{n} 次', several: '{n} 处', sources: '{n} 个来源', again: '再次提醒', source: '来源',
    floodShort: '告警洪峰', flood: '告警洪峰：按楼栋与类型归并，红色不归并', value: '测值 {n}', on: '持续', off: '已恢复', told: '已上报', group: '同组告警', related: '同地点事件', noRelated: '此地没有未办结事件', by: '{name} {time} 确认',
    hint: { confirm: '先看画面，再按空格确认；确认后判定属实、误报、测试或检修', judge: '已确认，按 J 判定；属实即建为事件', shelved: '屏蔽中，到时自动恢复提醒', done: '已判定，来源恢复后移出列表' },
  },
  incident: {
    title: '事件', open: '未办结 {n}', normal: '普通 {n}', none: '没有未办结事件', rest: '其余 {n} 件均在时限内', restOver: '其余 {n} 件，超时 {over}',
    exercise: '演练 不计数', over: '超时 {time}', left: '剩 {time}', since: '{stage} {time}',
  },
  stage: {
    reported: '待受理', rejected: '不予受理', merged: '已并单', accepted: '已受理', filed: '已建单', pending_approval: '待审批', approved: '待派遣',
    dispatched: '待签收', handling: '处置中', awaiting_verification: '待核查', verified: '待结案', closed: '已结案',
  },
  step: {
    collect: '归集', analyse: '分析', approve: '审批', push: '推送', acknowledge: '签收', handle: '处置', verify: '核查', close: '结案',
    ongoing: '进行中', after: '补审批',
  },
  clock: {
    collect: '受理', analyse: '建单', approve: '审批', push: '送达', acknowledge: '签收', arrive: '到场', handle: '处置', verify: '核查',
  },
  task: {
    lead: '主办', assist: '协办', optional: '非必办',
    state: {
      pushed: '送达中', delivered: '待签收', acknowledged: '已签收', en_route: '已出发', on_scene: '已到场', done: '已反馈', declined: '已退回',
      recalled: '已撤回',
    },
    unit: '单位', role: '角色', status: '状态', limit: '时限', load: '在手', left: '{what}剩 {time}', over: '{what}超时 {time}', used: '用时 {time}',
  },
  result: { done: '已完成', need_support: '需支援', nothing_found: '现场无此事' },
  channel: {
    alarm: '告警', call: '电话', visit: '来访', forwarded: '转发消息', department: '部门', grid: '网格', video: '视频',
  },
  camera: {
    state: {
      unknown: '尚未连接', connecting: '正在连接', online: '正常', unreachable: '连接不上', refused: '拒绝连接', unauthorised: '口令不对',
      not_found: '取流路径不存在', no_video: '没有视频', unsupported_codec: '编码不支持', stalled: '无画面数据', protocol: '数据不合规',
    },
    fault: { frozen: '画面停滞', black: '画面黑屏' },
  },
  media: {
    live: '实时', waiting: '等待画面', frozen: '画面停滞 {n} 秒',
    error: { unknown_camera: '没有这个摄像头', busy: '观看数已满', forbidden: '无权观看', unavailable: '视频服务未就绪' },
  },
  sheet: {
    title: '全部摄像头', count: '{n} 路', at: '画面时间 {time}', none: '尚无缩略图', main: '主码流', sub: '子码流', position: '位置', picture: '画面',
    delay: '延迟', seconds: '{n} 秒', state: '状态', since: '自 {time}', health: '画面健康', normal: '正常', offline: '离线', fallback: '主码流不能播放，现为子码流',
  },
  event: {
    reported: '上报', accepted: '受理', rejected: '不予受理', by_rule: '规则成立，自动建单', photos: '照片 {n} 张', receipt: { http: '部门系统收到', client: '手机收到' },
    merged: '并入 {other}', absorbed: '并入本事件 {other}', filed: '核实建单', approved: '审批通过',
    approval_refused: '审批退回', task_pushed: '推送 {unit}', task_delivered: '{unit} 送达', task_acknowledged: '{unit} 签收', task_en_route: '{unit} 出发',
    task_on_scene: '{unit} 到场', task_feedback: '{unit} 反馈', task_declined: '{unit} 退回', task_recalled: '撤回 {unit}', rework_ordered: '{unit} 退回重办',
    verified: '核查通过', closed: '结案', reopened: '重新办理', noted: '记录', place_corrected: '改址', exhibit_added: '留存证据', alarm_raised: '{kind}告警',
    kept: { clip: '留存录像', still: '留存截图', photo: '留存照片' }, alarm_evidence: '{kind}也告警', alarm_source_cleared: '{kind} 恢复', alarm_confirmed: '确认告警', alarm_sounded: '再次提醒', alarm_judged: '判定告警',
    alarm_shelved: '屏蔽告警', alarm_unshelved: '解除屏蔽', alarm_moved: '告警并入 {incident}', alarm_exhibit: '留存录像', other: '{kind}',
  },
  console: {
    erased: '已删除',
    queue: '队列', cases: '{n} 件', facts: '事实', address: '地址', source: '来源', reporter: '报告人', inside: '楼内', said: '内容', code: '一事一码', plan: '预案',
    planStep: '第 {n} 项', planCount: '共 {n} 项', evidence: '证据', noEvidence: '尚无截图与录像', tasks: '任务', taskCount: '{lead} 主办 {assist} 协办', noTasks: '尚未派遣',
    timeline: '时间线', location: '位置', around: '{place}周边', nearby: '附近摄像头', due: '即将到期', noDue: '没有在走的时限', verified: '已核实', estimated: '未核实',
    quiet: '当前没有待办', quietHint: '新告警和新事件会自动出现在左侧', today: '今日', allPatrols: '全部记录',
    first: '首接 {name}', pushedFirst: '已先行推送，审批后补', approvedAfter: '审批后补', earlier: '同号另有 {n} 次', anonymous: '匿名',
    confidential: '保密', named: '实名', merged: '已并入 {id}', absorbed: '并入 {id}', reopened: '重新办理 {n} 次', bounces: '退回 {n} 次', linkMs: '{n} 毫秒',
    hint: '输入命令，? 看全部按键', unknownWord: '不认识：{word}', saved: '草稿已存', noMessages: '没有短信', noPatrols: '没有巡逻记录', reply: '回复', inbound: '来信',
    outbound: '去信', failedSend: '未送出', sound: '声音', soundOn: '开', soundOff: '静音至 {time}', soundBlocked: '浏览器未放行，按任意键开启', undo: '撤销',
    undoIn: '{what}，{n} 秒后发出', undoRed: '{what}，已发出', reasons: '派遣 {n} 件', tasksLeft: '还有 {n} 项必办任务未完成', alarmsOf: '关联告警', ruling: '退回满三次，请值班长裁定',
    since: '{time} 起', endedSearch: '编号、一事一码、类别或地点', noEnded: '没有已办结的事件', mayReopen: '可重办', reopenHint: '结案 15 天内可重新办理', moreEnded: '更早的',
    extra: '短信', departments: '部门数据', unreadable: '无法读取的数据 {n} 条', plays: '录像', closeClip: '关闭录像', more: '其余 {n} 项',
  },
  act: {
    confirm: '确认', judge: '判定', shelve: '屏蔽', unshelve: '解除屏蔽', mute: '静音', accept: '受理', reject: '不予受理', merge: '并单', file: '核实建单', approve: '审批通过',
    refuse: '审批退回', push: '派遣', verify: '核查通过', close: '结案', reopen: '重新办理', note: '记一笔', place: '改址', recall: '撤回', reassign: '改派', rework: '退回重办',
    still: '截图', clip: '录像片段', intake: '接报登记', help: '全部按键', command: '命令', up: '上一件', down: '下一件', send: '发出', cancel: '取消', zoom: '缩放',
    cameraIntake: '由画面建单', camera: '选画面', submit: '提交', enlarge: '放大', alarmUp: '上一条告警', alarmDown: '下一条告警', search: '查找', messages: '短信与巡逻', ended: '已办结',
    task: '选任务', undo: '撤销',
  },
  key: { space: '空格', enter: '回车', back: '退格', esc: '退出', to: '至' },
  dialog: {
    reason: '原因', text: '内容', into: '并入事件号', minutes: '屏蔽分钟数（最长 480）', class: '类别', level: '级别', verdict: '判定', targets: '派往', lead: '主办', mandatory: '必办', instruction: '要做什么',
    unit: '改派给', task: '任务', place: '地点', confirmClose: '结案说明（可不填）', confirmVerify: '核查说明（可不填）', pick: '请选择',
  },
  intake: {
    title: '接报登记', channel: '渠道', phone: '来电号码', earlier: '此号码以前报过 {n} 次', noEarlier: '此号码首次来报', name: '姓名', reporterKind: '报告人', place: '地点',
    placeHint: '楼栋、俗名、路段', noPlace: '没有匹配的地点', text: '内容', class: '类别', level: '级别', duplicates: '可能重复', useDuplicate: '转到', submit: '上报', draft: '草稿逐键保存于本机',
    from: '来自摄像头 {name}', exhibits: '将附上截图与录像', verified: '地点已核实', unit: '单元', floor: '楼层', flat: '户', classLevel: '按类别', clear: '清空',
  },
  command: {
    push: '派遣 {id} {class} 至 {units}', arrive: '到场 {n} 分', recall: '撤回 {id} 的 {unit}', accept: '受理 {id}', file: '建单 {id}', approve: '审批 {id}', verify: '核查 {id}',
    close: '结案 {id}', go: '转到 {id}', note: '在 {id} 记一笔：{text}', merge: '{id} 并入 {into}', noIncident: '没有事件 {id}', noUnit: '没有单位 {word}', noVerb: '没有命令 {word}',
    incomplete: '未写完',
  },
  demo: {
    camera: '摄像头', department: '部门', accounts: '演示账号',
    title: '演示面板', fire: '失火', building: '楼栋', start: '开始', stop: '全部恢复', active: '进行中', none: '没有进行中的情况', kinds: '情况',
    note: '只有演示环境有此面板；所发生的都经过真实的传感器、短信与接口。',
  },
  mobile: {
    waiting: '待签收', ongoing: '进行中', patrol: '巡查', mine: '我的', acknowledge: '签收', en_route: '出发', on_scene: '到场', feedback: '反馈', submit: '提交反馈', decline: '退回',
    declineWhy: '退回原因', pending: '待上传 {n}', offline: '无网络 {time} 起，已存本机，联网后自动上传', refused: '未被接受：{why}', refusedPhoto: '{time} 的照片未被接受：{why}', drop: '知道了', result: '处置结果', photos: '照片',
    photoCount: '{n} 张 已压缩 {size} MB', take: '拍照', explain: '说明', next: '下一步', noTasks: '没有任务', noneOngoing: '没有进行中的任务', done: '已办', case: '事件 {id}',
    enter: '地点', inside: '楼内', others: '同场', pushedAt: '{time} 指挥中心推送', sent: '已上传', toSend: '待上传', tooMany: '最多 9 张', back: '返回', noPatrol: '没有待办巡查',
    gridIncidents: '本网格事件', unit: '单位', account: '账号', quick1: '现场已处置', quick2: '人员已疏散', quick3: '已设警戒', needText: '请写明情况', alone: '只有本单位',
    left: '{what}剩', over: '{what}超时', photoFailed: '照片读不出，请重拍',
  },
  devices: {
    strangers: '未登记', strangersNote: '这些设备在上报，但站点没有登记；不产生数值与告警，登记后生效', strangerId: '设备自报编号', format: '协议', messages: '消息数', first: '首次', last: '最近',
    title: '设备最新值', sensor: '设备', place: '位置', value: '最新值', at: '时间', state: '状态', online: '在线', offline: '离线', unknown: '未知', search: '查找设备', none: '没有设备', history: '近期数值',
    noHistory: '没有近期数值', count: '{n} 台　告警 {on}　离线 {off}', all: '全部', filter: '按类别', kindName: '类别', points: '{n} 次',
    is: { idle: '正常', pressed: '已按下', running: '正常', fault: '故障', trapped: '困人', free: '畅通', blocked: '占用' },
    kind: {
      smoke: '烟感', call_point: '手动报警', gas: '可燃气体', electrical_fire: '电气火灾', hydrant_pressure: '消防水压', lift: '电梯', manhole: '井盖', water_level: '水位', sos: '一键求助',
      fire_lane: '消防通道', ebike_charging: '电动车充电',
    },
  },
  light: { unknown: '未知', green: '正常', yellow: '迟到', red: '中断' },
}
export type Messages = typeof zh
