import type { Words } from './zh'

export const words: Words = {
  attention: {
    strip: 'Alarm strip',
    reds: 'Red {n}',
    unanswered: 'Unanswered {n}',
    since: 'since {time}',
    tabRed: '({n} red) {name}',
    tabYellow: '({n} unanswered) {name}',
    title: 'Urgent',
    below: '{n} more in the stages below',
    rest: '{n} more',
    restAlarms: '{n} more',
    why: {
      opened: 'By rule',
      reported: 'Reported',
      worse: 'Worse',
      idle: 'No action',
      unacknowledged: 'Not taken',
      support: 'Support',
      declined: 'Declined',
    },
  },
}
