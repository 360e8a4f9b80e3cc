// Times, ages and limits as people read them.
import type { Clock, Place } from './model'

const zone = 'Asia/Shanghai'
const clockFormat = new Intl.DateTimeFormat('zh-CN', {
  timeZone: zone,
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23',
})
const dayFormat = new Intl.DateTimeFormat('en-CA', {
  timeZone: zone,
  year: 'numeric',
  month: '2-digit',
  day: '2-digit',
})

/** 21:14:36 */
export const time = (ms: number): string => (ms > 0 ? clockFormat.format(ms) : '')
/** 2026-11-24, of the site. */
export const day = (ms: number): string => dayFormat.format(ms)
/** First millisecond of the site's day. */
export const dayStart = (ms: number): number => Date.parse(`${day(ms)}T00:00:00+08:00`)

/** 11月24日 星期二 / Tue 24 Nov */
export function date(ms: number, locale: string): string {
  return locale === 'zh'
    ? new Intl.DateTimeFormat('zh-CN', { timeZone: zone, month: 'long', day: 'numeric' }).format(ms) +
        ' ' +
        new Intl.DateTimeFormat('zh-CN', { timeZone: zone, weekday: 'long' }).format(ms)
    : new Intl.DateTimeFormat('en-GB', { timeZone: zone, weekday: 'short', day: 'numeric', month: 'short' }).format(ms)
}

/** 21:14:36, with its day when that is not today's. */
export const moment = (ms: number, now: number, locale: string): string =>
  day(ms) === day(now) ? time(ms) : `${date(ms, locale)} ${time(ms)}`

/** 14:02, with its day when that is not today's: 11月24日 14:02. */
export function minute(ms: number, now: number, locale: string): string {
  const at = time(ms).slice(0, 5)
  if (ms === 0 || day(ms) === day(now)) return at
  const form = { timeZone: zone, month: locale === 'zh' ? 'long' : 'short', day: 'numeric' } as const
  return `${new Intl.DateTimeFormat(locale === 'zh' ? 'zh-CN' : 'en-GB', form).format(ms)} ${at}`
}

const two = (n: number): string => String(n).padStart(2, '0')

/** 02:32 below an hour, 1:02:32 from there on. */
export function span(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1000))
  const h = Math.floor(s / 3600)
  const rest = `${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`
  return h > 0 ? `${h}:${rest}` : rest
}

/** A coarse age: 40 秒, 5 分, 3 时, 2 天. */
export function age(ms: number, locale: string): string {
  const s = Math.max(0, Math.floor(ms / 1000))
  const [n, unit] =
    s < 60
      ? [s, 0]
      : s < 3600
        ? [Math.floor(s / 60), 1]
        : s < 86_400
          ? [Math.floor(s / 3600), 2]
          : [Math.floor(s / 86_400), 3]
  const units = locale === 'zh' ? [' 秒', ' 分', ' 时', ' 天'] : ['s', 'min', 'h', 'd']
  return `${n}${units[unit]}`
}

export type Light = 'green' | 'yellow' | 'red'

/** Colour of a clock: yellow from 80 % of its limit, red when over. */
export function light(clock: Clock, now: number): Light {
  const used = (clock.ended || now) - clock.since
  return used > clock.limit ? 'red' : used * 5 >= clock.limit * 4 ? 'yellow' : 'green'
}

/** What is left of a limit: 06:39, from three hours on coarse: 3 时; over: +03:12. */
export function remaining(clock: Clock, now: number, locale = 'zh'): { over: boolean; text: string } {
  const left = clock.since + clock.limit - now
  if (left < 0) return { over: true, text: `+${span(-left)}` }
  return { over: false, text: left >= 3 * 3_600_000 ? age(left, locale) : span(left) }
}

/** Clocks that run, the most pressing first. */
export const running = (clocks: Clock[]): Clock[] =>
  clocks.filter((c) => c.ended === 0).sort((a, b) => a.since + a.limit - (b.since + b.limit))

/** How wide a text is, in Latin letters: a Chinese one takes two. */
export const breadth = (text: string): number => Array.from(text).reduce((n, x) => n + (x > '\u02ff' ? 2 : 1), 0)

export const placeLabel = (place: Place | undefined, locale: string): string =>
  place === undefined ? '' : (locale === 'zh' ? place.labelZh : place.labelEn) || place.labelZh
