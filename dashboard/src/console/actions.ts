// Every action of the dispatcher, with its key and the moment at which it may be used.
import { ref } from 'vue'
import { Problem } from '../lib/api'
import { now } from '../lib/clock'
import type { Alarm, Incident } from '../lib/model'
import { judgeable } from '../lib/lamps'
import type { KeyAction } from '../lib/keys'
import { isChief } from '../lib/session'
import { nameOf, site } from '../lib/site'
import { toggleMute } from '../lib/sound'
import { whyNoPush } from './next-step'
import type { Console, Field } from './state'

export interface Action extends KeyAction {
  /** Why it cannot be used now, for whoever presses its key all the same; empty = nothing to say. */
  whyNot?: () => string
  /** Shown as a button of the case. */
  button?: boolean
  group: 'alarm' | 'case' | 'task' | 'screen'
}

export function actionsOf(c: Console, focusCommand: () => void, openIntake: (camera?: string) => void): Action[] {
  const { t } = c
  /** Keys work on the case only while it is the one shown. */
  const i = () => (c.subject.value?.kind === 'case' ? c.subject.value.incident : undefined)
  const at =
    (...stages: string[]) =>
    () =>
      i() !== undefined && stages.includes(i()!.stage)
  const open = () => i()?.open === true
  /** The open question has something to tell that needs a reason. */
  const reasoned = (): boolean => (c.ask.value?.notes?.() ?? []).length > 0
  const reason: Field = { name: 'reason', label: t('dialog.reason'), kind: 'text' }
  const words = (optional: boolean, label: Field['label'] = t('dialog.text')): Field => ({
    name: 'text',
    label,
    kind: 'text',
    optional,
  })
  const ask = (
    name: string,
    fields: Field[],
    send: (v: Record<string, string>) => Promise<boolean>,
    of = '',
    notes?: () => string[],
  ): void => {
    // A panel names what it acts on.
    c.ask.value = {
      title: [t('act.' + name), of].filter(Boolean).join('　'),
      fields,
      send,
      ...(notes ? { notes } : {}),
    }
  }
  const caseName = (x: Incident): string => `${x.id} ${c.className(x.class)}`
  /** The alarm that the middle shows: a key acts on nothing else. */
  const alarm = () => (c.subject.value?.kind === 'alarm' ? c.subject.value.alarm : undefined)
  const judge = async (a: Alarm, v: Record<string, string | undefined>): Promise<boolean> => {
    const body = {
      verdict: v['verdict'],
      ...(v['verdict'] === 'genuine' && v['class'] ? { class: v['class'] } : {}),
      ...(v['text'] ? { text: v['text'] } : {}),
    }
    try {
      const answer = await c.give(`/alarms/${a.id}/judge`, body)
      c.say(`${c.figures.names.alarm(a.kind)} ${t('alarm.verdict.' + v['verdict'])}`)
      if (answer.refs.incident) c.openCase(answer.refs.incident)
      return true
    } catch (e) {
      c.fail(e)
      return false
    }
  }
  const judgeNow = () => alarm() !== undefined && alarm()!.verdict === '' && alarm()!.confirmed > 0
  const confirmFirst = () => (alarm()?.confirmed === 0 ? t('why.confirmFirst') : '')
  const onCase = (name: string, step: string, body: unknown = {}): void => {
    const id = i()?.id
    if (id !== undefined) void c.run(`${id} ${t('act.' + name)}`, `/incidents/${id}/${step}`, body)
  }
  const askCase = (
    name: string,
    step: string,
    fields: Field[],
    body: (v: Record<string, string>) => unknown = (v) => v,
  ): void => {
    const x = i()
    if (x === undefined) return
    const said = `${x.id} ${t('act.' + name)}`
    if (step !== 'verify' && step !== 'close') {
      ask(name, fields, (v) => c.run(said, `/incidents/${x.id}/${step}`, body(v)), caseName(x))
      return
    }
    // The centre may know of a source that this screen does not yet: it then asks for the reason all the same.
    const unseen = ref(false)
    const stands = (): string[] => {
      const seen = c.standing(c.centre.incident.get(String(x.id)) ?? x)
      return seen.length === 0 && unseen.value ? [t('dialog.standsUnseen')] : seen
    }
    const end = async (v: Record<string, string>): Promise<boolean> => {
      try {
        await c.give(`/incidents/${x.id}/${step}`, body(v))
        c.say(said)
        return true
      } catch (e) {
        unseen.value = e instanceof Problem && e.code === 'still_standing'
        c.fail(e)
        return false
      }
    }
    ask(name, fields, end, caseName(x), stands)
  }
  const askTask = (name: string, step: string, fields: Field[]): void => {
    const task = c.task.value
    if (task === undefined) return
    const unit = c.unitName(task.unit)
    ask(name, fields, (v) => c.run(`${unit} ${t('act.' + name)}`, `/tasks/${task.id}/${step}`, v), unit)
  }
  const classes = (all: boolean) =>
    (site.value?.doc.classes ?? [])
      .filter((x) => all || x.intake)
      .map((x) => ({ value: x.id, label: nameOf(x, c.locale.value) }))
  /** The alarms of the row that the middle shows. */
  const shown = (): Alarm[] => {
    const a = alarm()
    const row = c.alarmRow.value
    return a === undefined ? [] : row?.members.some((m) => m.id === a.id) ? row.members : [a]
  }
  const alarmDo = (name: string, step: string, body: unknown = {}): void => {
    for (const a of shown().filter((m) => step !== 'confirm' || m.confirmed === 0)) {
      void c.run(`${c.figures.names.alarm(a.kind)} ${t('act.' + name)}`, `/alarms/${a.id}/${step}`, body)
    }
  }
  const mergeAny = (): void =>
    askCase('merge', 'merge', [{ name: 'into', label: t('dialog.into'), kind: 'number' }], (v) => ({
      into: Number(v['into']),
    }))
  const liveTask = () => c.task.value !== undefined && !['done', 'declined', 'recalled'].includes(c.task.value.state)

  return [
    {
      group: 'case',
      button: true,
      key: ' ',
      cap: t('key.space'),
      name: 'attend',
      when: () => i() !== undefined && c.asks(i()!),
      run: () => void c.attend(i()!),
    },
    { group: 'screen', key: 'f2', cap: 'F2', name: 'nextCall', run: c.toNextCall },
    {
      group: 'alarm',
      key: ' ',
      cap: t('key.space'),
      name: 'confirm',
      when: () => shown().some((a) => a.confirmed === 0),
      whyNot: () => (c.figures.calls.value.length > 0 ? t('why.notShown') : ''),
      run: () => alarmDo('confirm', 'confirm'),
    },
    ...(['genuine', 'false', 'test', 'maintenance'] as const).map((verdict, n): Action => ({
      group: 'alarm',
      key: 'jxtw'[n],
      cap: 'JXTW'[n],
      name: 'verdict.' + verdict,
      when: judgeNow,
      whyNot: confirmFirst,
      run: () => void judge(alarm()!, { verdict }),
    })),
    {
      group: 'alarm',
      key: 'k',
      cap: 'K',
      name: 'judge',
      when: judgeNow,
      whyNot: confirmFirst,
      run: () => {
        const a = alarm()!
        ask(
          'judge',
          [
            {
              name: 'verdict',
              label: t('dialog.verdict'),
              kind: 'select',
              value: 'genuine',
              options: ['genuine', 'false', 'test', 'maintenance'].map((v) => ({
                value: v,
                label: t('alarm.verdict.' + v),
              })),
            },
            {
              name: 'class',
              label: t('dialog.class'),
              kind: 'select',
              optional: true,
              value: site.value?.alarmKind.get(a.kind)?.class ?? '',
              options: classes(true),
            },
            words(true),
          ],
          (v) => judge(a, v),
          c.figures.names.alarm(a.kind),
        )
      },
    },
    {
      group: 'alarm',
      key: 'h',
      cap: 'H',
      name: 'shelve',
      when: () => alarm() !== undefined && judgeable(alarm()!, now.value),
      run: () => {
        const a = alarm()!
        ask(
          'shelve',
          [{ name: 'minutes', label: t('dialog.minutes'), kind: 'number', value: '60', max: 480 }, reason],
          (v) =>
            c.run(t('act.shelve'), `/alarms/${a.id}/shelve`, { minutes: Number(v['minutes']), reason: v['reason'] }),
        )
      },
    },
    {
      group: 'alarm',
      key: 'h',
      cap: 'H',
      name: 'unshelve',
      when: () => (alarm()?.shelvedUntil ?? 0) > now.value,
      run: () => alarmDo('unshelve', 'unshelve'),
    },
    { group: 'alarm', key: 'm', cap: 'M', name: 'mute', run: toggleMute },
    { group: 'alarm', key: '[', cap: '[', name: 'alarmUp', run: () => c.stepAlarm(-1) },
    { group: 'alarm', key: ']', cap: ']', name: 'alarmDown', run: () => c.stepAlarm(1) },

    {
      group: 'case',
      button: true,
      key: 'o',
      cap: 'O',
      name: 'accept',
      when: at('reported'),
      run: () => onCase('accept', 'accept'),
    },
    {
      group: 'case',
      button: true,
      key: 'c',
      cap: 'C',
      name: 'file',
      when: at('accepted'),
      run: () =>
        askCase('file', 'file', [
          {
            name: 'class',
            label: t('dialog.class'),
            kind: 'select',
            optional: true,
            value: i()!.class,
            options: classes(false),
          },
          {
            name: 'level',
            label: t('dialog.level'),
            kind: 'select',
            optional: true,
            value: ['normal', 'yellow', 'red'][i()!.level] ?? '',
            options: ['normal', 'yellow', 'red'].map((v, n) => ({ value: v, label: t('level.' + n) })),
          },
        ]),
    },
    {
      group: 'case',
      button: true,
      key: 'p',
      cap: 'P',
      name: 'push',
      when: () =>
        at('approved', 'dispatched', 'handling', 'awaiting_verification')() || (at('filed')() && i()!.level === 2),
      whyNot: () => (i() === undefined ? '' : t('why.' + whyNoPush(i()!))),
      run: () => (c.panel.value = 'push'),
    },
    {
      group: 'case',
      button: true,
      key: 'y',
      cap: 'Y',
      name: 'approve',
      when: () => isChief.value && open() && i()!.filed > 0 && i()!.approved === 0,
      whyNot: () => (open() && i()!.filed > 0 && i()!.approved === 0 && !isChief.value ? t('why.approval') : ''),
      run: () => onCase('approve', 'approve'),
    },
    {
      group: 'case',
      button: true,
      key: 'r',
      cap: 'R',
      name: 'refuse',
      when: () => isChief.value && at('pending_approval')(),
      run: () => askCase('refuse', 'refuse-approval', [reason]),
    },
    {
      group: 'case',
      button: true,
      key: 'v',
      cap: 'V',
      name: 'verify',
      when: at('awaiting_verification'),
      run: () =>
        askCase('verify', 'verify', [words(true, () => t(reasoned() ? 'dialog.standReason' : 'dialog.confirmVerify'))]),
    },
    {
      group: 'case',
      button: true,
      key: 'q',
      cap: 'Q',
      name: 'close',
      when: at('verified'),
      run: () =>
        askCase('close', 'close', [words(true, () => t(reasoned() ? 'dialog.standReason' : 'dialog.confirmClose'))]),
    },
    {
      group: 'case',
      button: true,
      key: 'l',
      cap: 'L',
      name: 'reopen',
      when: at('closed'),
      run: () => askCase('reopen', 'reopen', [reason]),
    },
    {
      group: 'case',
      button: true,
      key: 'x',
      cap: 'X',
      name: 'reject',
      when: at('reported', 'accepted'),
      run: () => askCase('reject', 'reject', [reason]),
    },
    {
      group: 'case',
      button: true,
      key: 'g',
      cap: 'G',
      name: 'merge',
      when: at('reported', 'accepted', 'filed', 'pending_approval'),
      run: () => {
        // The one that stands on the screen: one key, with the time to take it back.
        const other = c.duplicate.value
        if (other === null) mergeAny()
        else void c.merge(i()!, other)
      },
    },
    {
      group: 'case',
      key: '',
      cap: '',
      name: 'mergeOther',
      when: at('reported', 'accepted', 'filed', 'pending_approval'),
      run: mergeAny,
    },
    {
      group: 'case',
      key: '=',
      cap: '=',
      name: 'answer',
      when: () => i() !== undefined && i()!.attention.some((a) => ['support', 'declined'].includes(a.why)),
      run: () => {
        const x = i()!
        ask('answer', [reason], (v) => c.attend(x, v['reason'] ?? ''), caseName(x))
      },
    },
    {
      group: 'case',
      key: 'n',
      cap: 'N',
      name: 'note',
      when: () => i() !== undefined,
      run: () => askCase('note', 'note', [words(false)]),
    },
    {
      group: 'case',
      key: 'e',
      cap: 'E',
      name: 'place',
      when: open,
      run: () =>
        askCase(
          'place',
          'place',
          [
            { name: 'place', label: t('dialog.place'), kind: 'place' },
            // Said by a person: to correct a place is not to have verified it.
            { name: 'verified', label: t('intake.verified'), kind: 'check', optional: true },
          ],
          (v) => ({ place: { ...(JSON.parse(v['place'] ?? '{}') as object), verified: v['verified'] === 'yes' } }),
        ),
    },
    {
      group: 'case',
      key: 's',
      cap: 'S',
      name: 'still',
      when: () => open() && !!c.camera.value,
      run: () => onCase('still', 'exhibits', { camera: c.camera.value, kind: 'still' }),
    },
    {
      group: 'case',
      key: 'k',
      cap: 'K',
      name: 'clip',
      when: () => open() && !!c.camera.value,
      run: () => {
        // A clip is answered when its last second has come: say at once that it is being taken.
        c.say(t('console.clipping', { name: nameOf(site.value?.camera.get(c.camera.value), c.locale.value) }))
        onCase('clip', 'exhibits', { camera: c.camera.value, kind: 'clip' })
      },
    },
    { group: 'case', key: 'arrowup', cap: '↑', name: 'up', run: () => c.step(-1) },
    { group: 'case', key: 'arrowdown', cap: '↓', name: 'down', run: () => c.step(1) },

    {
      group: 'task',
      key: 't',
      cap: 'T',
      name: 'task',
      when: () => (i()?.tasks.length ?? 0) > 0,
      run: () => c.stepTask(),
    },
    {
      group: 'task',
      key: 'b',
      cap: 'B',
      name: 'recall',
      when: liveTask,
      run: () => askTask('recall', 'recall', [{ ...reason, optional: true }]),
    },
    {
      group: 'task',
      key: 'd',
      cap: 'D',
      name: 'reassign',
      when: liveTask,
      run: () =>
        askTask('reassign', 'reassign', [
          {
            name: 'unit',
            label: t('dialog.unit'),
            kind: 'select',
            options: c
              .unitsFor(i()!)
              .filter((u) => u.id !== c.task.value?.unit)
              .map((u) => ({ value: u.id, label: nameOf(u, c.locale.value) })),
          },
          { ...reason, optional: true },
        ]),
    },
    {
      group: 'task',
      key: 'w',
      cap: 'W',
      name: 'rework',
      when: () => c.task.value?.state === 'done' && open(),
      run: () => askTask('rework', 'rework', [reason]),
    },

    { group: 'screen', key: '/', cap: '/', name: 'command', run: focusCommand },
    { group: 'screen', key: 'a', cap: 'A', name: 'intake', run: () => openIntake() },
    {
      group: 'screen',
      key: 'i',
      cap: 'I',
      name: 'cameraIntake',
      when: () => !!c.camera.value,
      run: () => openIntake(c.camera.value),
    },
    {
      group: 'screen',
      key: 'u',
      cap: 'U',
      name: 'ended',
      run: () => (c.panel.value = c.panel.value === 'ended' ? '' : 'ended'),
    },
    {
      group: 'screen',
      key: 'f',
      cap: 'F',
      name: 'messages',
      run: () => (c.panel.value = c.panel.value === 'extra' ? '' : 'extra'),
    },
    {
      group: 'screen',
      key: '?',
      cap: '?',
      name: 'help',
      run: () => (c.panel.value = c.panel.value === 'help' ? '' : 'help'),
    },
    {
      group: 'screen',
      key: 'backspace',
      cap: t('key.back'),
      name: 'undo',
      when: () => c.undo.current.value !== null,
      run: () => void c.undo.undo(),
    },
    {
      group: 'screen',
      key: 'escape',
      cap: t('key.esc'),
      name: 'cancel',
      when: () => c.ask.value !== null || c.panel.value !== '' || c.camera.value !== '',
      run: () => {
        if (c.ask.value !== null) c.ask.value = null
        else if (c.panel.value !== '') c.panel.value = ''
        else c.camera.value = ''
      },
    },
  ]
}

/** Carries out a parsed command line. */
export async function obey(c: Console, command: import('../lib/command').Command): Promise<void> {
  const i = c.centre.incident.get(String(command.incident))
  if (i === undefined) return
  c.openCase(i.id)
  if (command.verb === 'go') return
  if (command.verb === 'push') {
    const led = i.tasks.some((x) => x.lead && !['declined', 'recalled'].includes(x.state))
    await c.push(
      i,
      command.units.map((unit, n) => ({ unit, lead: !led && n === 0, mandatory: true })),
      '',
      command.arrive,
    )
  } else if (command.verb === 'recall') {
    const task = i.tasks.find((x) => x.unit === command.unit && !['done', 'declined', 'recalled'].includes(x.state))
    if (task === undefined) c.say(c.t('command.noUnit', { word: c.unitName(command.unit) }), true)
    else
      await c.run(c.t('command.recall', { id: i.id, unit: c.unitName(command.unit) }), `/tasks/${task.id}/recall`, {})
  } else if (command.verb === 'merge')
    await c.run(c.t('command.merge', { id: i.id, into: command.into }), `/incidents/${i.id}/merge`, {
      into: command.into,
    })
  else if (command.verb === 'note')
    await c.run(c.t('command.note', { id: i.id, text: '' }), `/incidents/${i.id}/note`, { text: command.text })
  else await c.run(c.t('command.' + command.verb, { id: i.id }), `/incidents/${i.id}/${command.verb}`)
}
