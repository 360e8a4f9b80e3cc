import type { Words } from './zh'

export const words: Words = {
  nav: { demo: 'Demo panel' },
  demo: {
    camera: 'Camera',
    department: 'Department',
    accounts: 'Demo accounts',
    screen: { wall: 'Wall', console: 'Console', mobile: 'Phone' },
    screenIs: {
      wall: 'hangs in the centre, shows and takes no input',
      console: 'people of the centre, all by keyboard',
      mobile: 'people outside, also without network',
    },
    who: {
      wall_display:
        "No person but the wall: the area, the video patrol and what matters most; never a resident's name.",
      duty_officer: 'Answers calls and alarms: confirms, judges, opens incidents and pushes them to departments.',
      dispatcher: 'Carries incidents on: pushes, reassigns, recalls, verifies and closes.',
      shift_chief: 'Runs the shift: all of the above, and approves, sets the duty and issues device passwords.',
      leader: "Answers for the day: a chief's rights, named on the wall, the first to hear of a red incident.",
      department_clerk:
        'On duty at a department or firm: gets its tasks, takes them, leaves, arrives, sends feedback with photos.',
      grid_manager: 'Looks after one grid: gets the tasks of its team and sees the incidents of the grid.',
    },
    title: 'Demo panel',
    fire: 'Fire',
    building: 'Building',
    start: 'Start',
    stop: 'All back to normal',
    active: 'Happening',
    none: 'Nothing is happening',
    kinds: 'Happenings',
    note: 'Only the demo has this panel; what it starts comes in through real sensors, messages and interfaces.',
  },
}
