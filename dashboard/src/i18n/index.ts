// One locale is loaded at a time. Messages become functions here, so that neither a compiler nor eval reaches the page.
import { shallowRef } from 'vue'
import { createI18n } from 'vue-i18n'
import type { Messages } from './zh'

export type Locale = 'zh' | 'en'
interface Named {
  named(key: string): unknown
}
type Made = { [key: string]: Made | ((ctx: Named) => string) }

const made = (messages: object): Made =>
  Object.fromEntries(
    Object.entries(messages).map(([key, value]: [string, unknown]) => [
      key,
      typeof value === 'string'
        ? (ctx: Named) => value.replace(/\{(\w+)\}/g, (_, name: string) => String(ctx.named(name) ?? ''))
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

const load = async (locale: Locale): Promise<Messages> =>
  locale === 'en' ? (await import('./en')).en : (await import('./zh')).zh

/** All that may have to be said without the centre, in the present language. */
export const lonely = shallowRef('')

export async function setLocale(locale: Locale): Promise<void> {
  const messages = await load(locale)
  lonely.value = JSON.stringify([messages.app, messages.link, messages.media, messages.camera, '0123456789'])
  i18n.global.setLocaleMessage(locale, made(messages) as never)
  i18n.global.locale.value = locale
  localStorage.setItem('locale', locale)
  document.title = messages.app.name
  document.documentElement.lang = locale === 'zh' ? 'zh-CN' : 'en'
}
export const startLocale = (): Promise<void> => setLocale(i18n.global.locale.value as Locale)
