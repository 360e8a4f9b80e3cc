// One locale is loaded at a time. Messages become functions here, so that neither a compiler nor eval reaches the page.
import { shallowRef } from 'vue'
import { createI18n } from 'vue-i18n'
import type { Phone } from './zh.phone'

export type Locale = 'zh' | 'en'
interface Named {
  named(key: string): string | number | undefined
}
type Made = { [key: string]: Made | ((ctx: Named) => string) }

const made = (messages: object): Made =>
  Object.fromEntries(
    Object.entries(messages).map(([key, value]: [string, unknown]) => [
      key,
      typeof value === 'string'
        ? (ctx: Named) => value.replace(/\{(\w+)\}/g, (_, name: string) => `${ctx.named(name) ?? ''}`)
        : made(value as object),
    ]),
  )

export const i18n = createI18n({
  legacy: false,
  locale: localStorage.getItem('locale') === 'en' ? 'en' : 'zh',
  messages: {} as Record<Locale, Made>,
  missingWarn: false,
  fallbackWarn: false,
})

/** The phone's words are those of every screen; the centre's are loaded where they are said. */
type Part = 'phone' | 'centre'
const PARTS = {
  zh: {
    phone: async () => (await import('./zh.phone')).phone,
    centre: async () => (await import('./zh.centre')).centre,
  },
  en: {
    phone: async () => (await import('./en.phone')).phone,
    centre: async () => (await import('./en.centre')).centre,
  },
}
/** Of all words, what is said without the centre. */
type Spoken = Pick<Phone, 'app'> & { link?: object; media?: object; camera?: object }
const wanted = new Set<Part>(['phone'])
const loaded = { zh: new Map<Part, object>(), en: new Map<Part, object>() }

/** All that may have to be said without the centre, in the present language. */
export const lonely = shallowRef('')

async function load(locale: Locale): Promise<void> {
  const missing = [...wanted].filter((part) => !loaded[locale].has(part))
  const come = await Promise.all(missing.map((part) => PARTS[locale][part]()))
  missing.forEach((part, n) => loaded[locale].set(part, come[n]))
  if (missing.length === 0) return
  const all = Object.assign({}, ...loaded[locale].values()) as object
  i18n.global.setLocaleMessage(locale, made(all) as never)
}
function speak(locale: Locale): void {
  const all = Object.assign({}, ...loaded[locale].values()) as Spoken
  lonely.value = JSON.stringify([all.app, all.link, all.media, all.camera, '0123456789'])
  i18n.global.locale.value = locale
  document.title = all.app.name
  document.documentElement.lang = locale === 'zh' ? 'zh-CN' : 'en'
}
const present = (): Locale => i18n.global.locale.value

export async function setLocale(locale: Locale): Promise<void> {
  await load(locale)
  speak(locale)
  localStorage.setItem('locale', locale)
}
/** Before anything is said that a phone never says. */
export async function centreWords(): Promise<void> {
  if (wanted.has('centre')) return load(present())
  wanted.add('centre')
  await load(present())
  speak(present())
}
/** Fetches the phone's other language, too, so that it is there without network; the addresses of both. */
export const bothLanguages = async (): Promise<string[]> =>
  (await Promise.all([import('./zh.phone'), import('./en.phone')])).map(({ url }) => url)

export function startLocale(): Promise<void> {
  // Every page but the phone's says more: both parts come at once.
  if (location.pathname !== '/m') wanted.add('centre')
  return setLocale(present())
}
