import type { Messages } from './zh'

export const en: Messages = {
  app: {
    name: 'Smart Maojiawan', centre: 'Maojiawan Centre', demo: 'DEMO', demoNote: 'Simulated site: people and incidents are invented',
    cutOff: 'Cut off from the centre. Last update {time}, {n} s ago. Reconnecting', unsure: 'The centre cannot read what is new. As of {time}, {n} s ago. It catches up by itself', noFeed: 'No data yet after {n} s. Connecting', whole: 'Connected again, nothing is missing (cut off {from} to {at})', outdated: 'This page is not of the centre’s version. Data as of {time}. Load it anew', reload: 'Load anew', stale: 'Data is {n} s old', loading: 'Loading',
    clockOff: 'This clock is {n} s off', north: 'N', metres: '{n} m', theme: 'Theme', language: '中文', logout: 'Log out', people: '{n} people',
  },
  level: { 0: 'Normal', 1: 'Yellow', 2: 'Red' },
  levelName: { normal: 'normal', yellow: 'yellow', red: 'red' },
  levelShort: { 0: 'Normal', 1: 'Yellow', 2: 'Red', unknown: 'Unknown', clear: 'Clear' },
  role: {
    duty_officer: 'Duty officer', dispatcher: 'Dispatcher', shift_chief: 'Shift chief', department_clerk: 'Department clerk', grid_manager: 'Grid manager',
    wall_display: 'Wall',
  },
  login: { title: 'Log in', account: 'Account', password: 'Password', enter: 'Log in', failed: 'Not logged in', to: 'Go to' },
  nav: { dispatch: 'Dispatch', wall: 'Wall', devices: 'Devices', messages: 'Messages', patrols: 'Patrols', demo: 'Demo panel' },
  duty: { leader: 'Leader', chief: 'Chief', officer: 'Officer', vacant: 'Vacant' },
  figure: {
    open: 'Open', over: 'Overdue', done: 'Done today', cameras: 'Cameras online', waiting: 'Waiting, longest', link: 'Link', none: 'none', unknown: 'Unknown',
  },
  link: { open: 'Normal', connecting: 'Connecting', stale: 'Old', down: 'Down' },
  plan: { title: 'Area', legendClear: 'Clear {n}', legendPending: 'Unjudged {n}' },
  focus: {
    calm: 'No red or yellow incident', calmLast: 'Last red incident closed {time}', calmNone: 'No closed red incident on record', elapsed: 'elapsed',
    case: 'Incident {id}', filedAt: 'filed {time}', raisedAt: 'alarm {time}', alarm: 'Alarm, not judged',
    registered: 'Registered', care: 'Need care', minors: 'Minors', grid: 'Grid', household: '{h} homes, {p} people',
    today: 'Reported today', closed: 'Closed', handling: 'In progress', waiting: 'Waiting', cases: '{n}', noTasks: 'Not pushed yet', moreTasks: '{n} more tasks', moreSources: '{n} more sources',
  },
  patrol: {
    data: 'Data', video: 'Video', message: 'Messages', departments: '{n} / {total} depts', cameras: '{n} / {total}', late: 'Missing: {units}', allIn: 'All in', awaiting: 'Waiting for data', round: 'Round {n}', today: '{n} today', latest: 'last {time}', checked: '{n} / {total}', running: 'running',
    lastData: 'last data {time}', since: 'Since', runs: '{n} runs', plan: 'planned', done: 'done', lightNote: 'Green on time, yellow late, red silent; late data is found by the data patrol',
    subject: { vacant_power: 'Power in vacant flats', 96885: 'Messages to 96885' },
    findings: '{n} found', started: 'began {time}', finished: 'ended {time}', none: 'No record yet', planned: 'planned {time}',
    what: {
      frozen: 'Frozen picture', black: 'Black picture', offline: 'Offline', stale: 'Stale data', rule_hit: 'Rule hit', message: 'Message', unreadable: 'Unreadable',
    },
  },
  tour: { title: 'Video patrol', group: '{name}, group {n} / {total}', next: 'Next {time}', none: 'No tour' },
  alarm: {
    title: 'Alarms', unconfirmed: '{n} new', total: '{n} in all', current: '{n} now', none: 'No alarm stands', today: '{n} today', more: '{n} more',
    state: { active: 'New', activeConfirmed: 'Confirmed', cleared: 'Cleared, new', clearedConfirmed: 'Cleared, confirmed', awaiting: 'Confirmed, to judge' },
    verdict: { genuine: 'Genuine', false: 'False', test: 'Test', maintenance: 'Maintenance' },
    shelved: 'Shelved to {time}', times: '{n} times', several: '{n} places', sources: '{n} sources', again: 'Sounded again', source: 'Source',
    chatter: 'chattered {n} times', floodShort: 'alarm flood', flood: 'Alarm flood: grouped by building and kind; reds never', value: 'value {n}', on: 'lasting', off: 'cleared', told: 'reported', group: 'Same group', related: 'Cases at this place', noRelated: 'No open case here', by: 'confirmed by {name} {time}',
    hint: { confirm: 'Look first, then Space confirms; then judge it genuine, false, test or maintenance', judge: 'Confirmed: J judges it; a genuine one becomes a case', shelved: 'Shelved: it comes back by itself', done: 'Judged: leaves the list when its sources clear' },
  },
  incident: {
    title: 'Incidents', open: '{n} open', normal: '{n} normal', none: 'No open incident', rest: '{n} more, all in time', restOver: '{n} more, {over} overdue',
    exercise: 'Exercise', over: 'Over {time}', left: '{time} left', since: '{stage} {time}',
  },
  stage: {
    reported: 'Reported', rejected: 'Rejected', merged: 'Merged', accepted: 'Accepted', filed: 'Filed', pending_approval: 'To approve', approved: 'To push',
    dispatched: 'Waiting', handling: 'Handling', awaiting_verification: 'To verify', verified: 'To close', closed: 'Closed',
  },
  step: {
    collect: 'Collect', analyse: 'Analyse', approve: 'Approve', push: 'Push', acknowledge: 'Take', handle: 'Handle', verify: 'Verify', close: 'Close',
    ongoing: 'now', after: 'after',
  },
  clock: {
    collect: 'Accept', analyse: 'File', approve: 'Approve', push: 'Deliver', acknowledge: 'Take', arrive: 'Arrive', handle: 'Handle', verify: 'Verify',
  },
  task: {
    lead: 'Lead', assist: 'Assist', optional: 'optional',
    state: {
      pushed: 'Sending', delivered: 'Delivered', acknowledged: 'Taken', en_route: 'En route', on_scene: 'On scene', done: 'Done', declined: 'Declined',
      recalled: 'Recalled',
    },
    unit: 'Unit', role: 'Role', status: 'State', limit: 'Limit', load: 'Load', left: '{what} {time} left', over: '{what} over {time}', used: 'took {time}',
  },
  result: { done: 'Done', need_support: 'Need support', nothing_found: 'Nothing found' },
  channel: {
    alarm: 'Alarm', call: 'Call', visit: 'Visit', forwarded: 'Forwarded', department: 'Department', grid: 'Grid', video: 'Video',
  },
  camera: {
    state: {
      unknown: 'Not tried', connecting: 'Connecting', online: 'Normal', unreachable: 'Unreachable', refused: 'Refused', unauthorised: 'Wrong password',
      not_found: 'No such path', no_video: 'No video', unsupported_codec: 'Codec not taken', stalled: 'No picture data', protocol: 'Malformed data',
    },
    fault: { frozen: 'Frozen', black: 'Black' },
  },
  media: {
    live: 'Live', waiting: 'Waiting for picture', frozen: 'Frozen for {n} s',
    error: { unknown_camera: 'No such camera', busy: 'Too many viewers', forbidden: 'Not allowed', unavailable: 'Video not ready' },
  },
  sheet: {
    title: 'All cameras', count: '{n}', at: 'Pictures of {time}', none: 'No thumbnails yet', main: 'Main stream', sub: 'Sub stream', position: 'Place', picture: 'Picture',
    delay: 'Delay', seconds: '{n} s', state: 'State', since: 'since {time}', health: 'Picture health', normal: 'Normal', offline: 'Offline', fallback: 'Main stream cannot be played; this is the sub stream',
  },
  event: {
    reported: 'Reported', accepted: 'Accepted', rejected: 'Rejected', by_rule: 'Opened by rule', photos: '{n} photos', receipt: { http: 'at its system', client: 'on its phone' },
    merged: 'Merged into {other}', absorbed: 'Absorbed {other}', filed: 'Filed', approved: 'Approved',
    approval_refused: 'Approval refused', task_pushed: 'Pushed to {unit}', task_delivered: 'Delivered to {unit}', task_acknowledged: '{unit} took it', task_en_route: '{unit} left',
    task_on_scene: '{unit} on scene', task_feedback: '{unit} fed back', task_declined: '{unit} declined', task_recalled: 'Recalled from {unit}', rework_ordered: '{unit} to do it again',
    verified: 'Verified', closed: 'Closed', reopened: 'Reopened', noted: 'Note', place_corrected: 'Place corrected', exhibit_added: 'Evidence kept', alarm_raised: '{kind} alarm',
    kept: { clip: 'Clip kept', still: 'Still kept', photo: 'Photo kept' }, alarm_evidence: '{kind} as well', alarm_source_cleared: '{kind} cleared', alarm_confirmed: 'Alarm confirmed', alarm_sounded: 'Sounded again', alarm_judged: 'Alarm judged',
    alarm_shelved: 'Alarm shelved', alarm_unshelved: 'Shelving ended', alarm_moved: 'Alarm moved to {incident}', alarm_exhibit: 'Clip kept', other: '{kind}',
  },
  console: {
    erased: 'Erased',
    queue: 'Queue', cases: '{n}', facts: 'Facts', address: 'Place', source: 'Source', reporter: 'Reporter', inside: 'Inside', said: 'Words', code: 'Case code', plan: 'Plan',
    planStep: 'Step {n}', planCount: '{n} steps', evidence: 'Evidence', noEvidence: 'No still or clip yet', tasks: 'Tasks', taskCount: '{lead} lead, {assist} assist', noTasks: 'Not pushed yet',
    timeline: 'Timeline', location: 'Location', around: 'Around {place}', nearby: 'Nearby cameras', due: 'Due next', noDue: 'No clock is running', verified: 'verified', estimated: 'not verified',
    quiet: 'Nothing to do', quietHint: 'New alarms and cases appear on the left', today: 'Today', allPatrols: 'All records',
    first: 'First owner {name}', pushedFirst: 'Pushed first, approval to follow', approvedAfter: 'Approved after', earlier: '{n} more from this number', anonymous: 'Anonymous',
    confidential: 'Confidential', named: 'Named', merged: 'Merged into {id}', absorbed: 'Absorbed {id}', reopened: 'Reopened {n} times', bounces: 'Declined {n} times', linkMs: '{n} ms',
    hint: 'Type a command; ? lists all keys', unknownWord: 'Not known: {word}', saved: 'Draft kept', noMessages: 'No messages', noPatrols: 'No patrols', reply: 'Reply', inbound: 'In',
    outbound: 'Out', failedSend: 'Not sent', sound: 'Sound', soundOn: 'on', soundOff: 'muted to {time}', soundBlocked: 'blocked by the browser; press any key', undo: 'Undo',
    undoIn: '{what}, goes in {n} s', undoRed: '{what}, sent', reasons: 'Push {n}', tasksLeft: '{n} mandatory tasks are open', alarmsOf: 'Alarms', ruling: 'Declined three times: the chief must rule',
    since: 'since {time}', endedSearch: 'Number, case code, class or place', noEnded: 'No ended case', mayReopen: 'reopens', reopenHint: 'Reopens within 15 days of closing', moreEnded: 'Older',
    extra: 'Messages', departments: 'Department data', unreadable: '{n} inputs could not be read', plays: 'Clip', closeClip: 'Close clip', more: '{n} more',
  },
  act: {
    confirm: 'Confirm', judge: 'Judge', shelve: 'Shelve', unshelve: 'Unshelve', mute: 'Mute', accept: 'Accept', reject: 'Reject', merge: 'Merge', file: 'File', approve: 'Approve',
    refuse: 'Refuse', push: 'Push', verify: 'Verify', close: 'Close', reopen: 'Reopen', note: 'Note', place: 'Correct place', recall: 'Recall', reassign: 'Reassign', rework: 'Rework',
    still: 'Still', clip: 'Clip', intake: 'Intake', help: 'All keys', command: 'Command', up: 'Up', down: 'Down', send: 'Send', cancel: 'Cancel', zoom: 'Zoom',
    cameraIntake: 'Report from picture', camera: 'Pick camera', submit: 'Submit', enlarge: 'Enlarge', alarmUp: 'Alarm up', alarmDown: 'Alarm down', search: 'Find', messages: 'Messages, patrols', ended: 'Ended cases',
    task: 'Pick task', undo: 'Undo',
  },
  key: { space: 'Space', enter: 'Enter', back: 'Bksp', esc: 'Esc', to: 'to' },
  dialog: {
    reason: 'Reason', text: 'Words', into: 'Into incident', minutes: 'Minutes of shelving (480 at most)', class: 'Class', level: 'Level', verdict: 'Verdict', targets: 'Push to', lead: 'Lead', mandatory: 'Mandatory', instruction: 'What to do',
    unit: 'Reassign to', task: 'Task', place: 'Place', confirmClose: 'Remark on closing (optional)', confirmVerify: 'Remark on verification (optional)', pick: 'Choose',
  },
  intake: {
    title: 'Intake', channel: 'Channel', phone: 'Number', earlier: '{n} earlier reports of this number', noEarlier: 'First report of this number', name: 'Name', reporterKind: 'Reporter', place: 'Place',
    placeHint: 'Building, local name, road', noPlace: 'No place matches', text: 'Words', class: 'Class', level: 'Level', duplicates: 'Maybe the same', useDuplicate: 'Go to', submit: 'Report', draft: 'Draft kept on this machine at each key',
    from: 'From camera {name}', exhibits: 'Still and clip will be attached', verified: 'Place is verified', unit: 'Unit', floor: 'Floor', flat: 'Flat', classLevel: 'By class', clear: 'Clear',
  },
  command: {
    push: 'Push {id} {class} to {units}', arrive: 'arrive in {n} min', recall: 'Recall {unit} from {id}', accept: 'Accept {id}', file: 'File {id}', approve: 'Approve {id}', verify: 'Verify {id}',
    close: 'Close {id}', go: 'Go to {id}', note: 'Note on {id}: {text}', merge: 'Merge {id} into {into}', noIncident: 'No incident {id}', noUnit: 'No unit {word}', noVerb: 'No command {word}',
    incomplete: 'not complete',
  },
  demo: {
    camera: 'Camera', department: 'Department', accounts: 'Demo accounts',
    title: 'Demo panel', fire: 'Fire', building: 'Building', start: 'Start', stop: 'All back to normal', active: 'Happening', none: 'Nothing is happening', kinds: 'Happenings',
    note: 'Only the demo has this panel; what it starts comes in through real sensors, messages and interfaces.',
  },
  mobile: {
    waiting: 'To take', ongoing: 'Ongoing', patrol: 'Patrol', mine: 'Mine', acknowledge: 'Take', en_route: 'Leave', on_scene: 'Arrive', feedback: 'Feedback', submit: 'Send feedback', decline: 'Decline',
    declineWhy: 'Why decline', pending: '{n} to upload', offline: 'No network since {time}; kept here, sent when back', refused: 'Not accepted: {why}', refusedPhoto: 'Photo of {time} not accepted: {why}', drop: 'OK', result: 'Result', photos: 'Photos',
    photoCount: '{n}, compressed {size} MB', take: 'Take photo', explain: 'Words', next: 'next', noTasks: 'No tasks', noneOngoing: 'Nothing ongoing', done: 'Done', case: 'Incident {id}',
    enter: 'Place', inside: 'Inside', others: 'Others', pushedAt: '{time} pushed by the centre', sent: 'Uploaded', toSend: 'To upload', tooMany: '9 at most', back: 'Back', noPatrol: 'No patrol to do',
    gridIncidents: 'Incidents of the grid', unit: 'Unit', account: 'Account', quick1: 'Dealt with', quick2: 'People evacuated', quick3: 'Cordoned off', needText: 'Say what is needed', alone: 'Only this unit',
    left: '{what} left', over: '{what} over', photoFailed: 'The photo cannot be read, take it again',
  },
  devices: {
    chatters: 'Chatters', heldSince: 'since {time}: its alarm stays until it is quiet', span: { h1: '1 hour', h24: '24 hours', d7: '7 days', d30: '30 days' }, min: 'Lowest', mean: 'Mean', max: 'Highest', times: 'Count', asText: 'Values as a list', more: 'Too many values: only the first 5,000 are shown',
    spoken: '{name}, {span}: lowest {min}, mean {mean}, highest {max}, {n} values',
    strangers: 'Unregistered', strangersNote: 'These devices report but the site does not have them: no values, no alarms until they are registered', strangerId: 'Its own id', format: 'Protocol', messages: 'Messages', first: 'First', last: 'Last',
    title: 'Latest values', sensor: 'Device', place: 'Place', value: 'Value', at: 'Time', state: 'State', online: 'Online', offline: 'Offline', unknown: 'Unknown', search: 'Find device', none: 'No device', history: 'History',
    noHistory: 'No values', count: '{n}, {on} in alarm, {off} offline', all: 'All', filter: 'By kind', kindName: 'Kind', points: '{n} values',
    credential: {
      title: 'Device password', none: 'none of its own', issued: 'issued {at} by {by}', revoked: 'taken back {at} by {by}', issue: 'Issue device password', again: 'Issue anew', revoke: 'Take back',
      sureIssue: 'Issues an MQTT password for this device alone. It is shown once.', sureAgain: 'The present password ends now and the device is cut off until it has the new one, which is shown once.', sureRevoke: 'The device is cut off now and cannot log in with its password again.',
      once: 'Shown this once and never again. Enter it in the device now.', user: 'User', password: 'Password', copy: 'Copy password', copied: 'Copied', byHand: 'Selected: copy it by hand', done: 'Noted', lost: 'Issued, but the password did not reach this page; issue it anew',
    },
    is: { idle: 'Normal', pressed: 'Pressed', running: 'Normal', fault: 'Fault', trapped: 'Trapped', free: 'Free', blocked: 'Blocked' },
    kind: {
      smoke: 'Smoke', call_point: 'Call point', gas: 'Gas', electrical_fire: 'Electrical fire', hydrant_pressure: 'Hydrant', lift: 'Lift', manhole: 'Manhole', water_level: 'Water level', sos: 'SOS',
      fire_lane: 'Fire lane', ebike_charging: 'E-bike charging',
    },
  },
  light: { unknown: 'Unknown', green: 'Normal', yellow: 'Late', red: 'Silent' },
}
