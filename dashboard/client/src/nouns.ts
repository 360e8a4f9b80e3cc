// What the feed tells about, as plain data. Names follow proto/feed.proto.
import type * as pb from './generated/feed_pb'
import type { Plain } from './plain'

export type Alarm = Plain<pb.Alarm>
export type AlarmSource = Plain<pb.AlarmSource>
export type Incident = Plain<pb.Incident>
export type Task = Plain<pb.Task>
export type Clock = Plain<pb.Clock>
export type Place = Plain<pb.Place>
export type Exhibit = Plain<pb.Exhibit>
export type Duty = Plain<pb.Duty>
export type Camera = Plain<pb.Camera>
export type SensorLink = Plain<pb.SensorLink>
export type Light = Plain<pb.Light>
export type Patrol = Plain<pb.Patrol>
export type Message = Plain<pb.Message>
export type Account = Plain<pb.Account>
export type Unreadable = Plain<pb.Unreadable>
export type FeedEvent = Plain<pb.Event>
export type By = Plain<pb.By>
export type Text = Plain<pb.Text>

/** What each kind of noun is stored under. */
export interface Nouns {
  alarm: Alarm
  incident: Incident
  duty: Duty
  camera: Camera
  sensor: SensorLink
  light: Light
  patrol: Patrol
  message: Message
  account: Account
  unreadable: Unreadable
  site: { version: number }
}
export type NounKind = keyof Nouns
export const NOUN_KINDS: NounKind[] = [
  'alarm',
  'incident',
  'duty',
  'camera',
  'sensor',
  'light',
  'patrol',
  'message',
  'account',
  'unreadable',
  'site',
]

/** Id of a noun within its kind; single documents use the empty id. */
export function nounId(kind: NounKind, value: Nouns[NounKind]): string {
  if (kind === 'duty' || kind === 'unreadable' || kind === 'site') return ''
  if (kind === 'light') return (value as Nouns['light']).unit
  return String((value as Nouns['alarm']).id)
}
