import { createI18n } from 'vue-i18n'
import { en } from './en'
import { zh } from './zh'

const kept = localStorage.getItem('locale')
export const i18n = createI18n({
  legacy: false,
  locale: kept === 'en' ? 'en' : 'zh',
  fallbackLocale: 'zh',
  messages: { zh, en },
  warnHtmlMessage: false,
})

export function setLocale(locale: 'zh' | 'en'): void {
  i18n.global.locale.value = locale
  localStorage.setItem('locale', locale)
  document.documentElement.lang = locale === 'zh' ? 'zh-CN' : 'en'
}
document.documentElement.lang = i18n.global.locale.value === 'zh' ? 'zh-CN' : 'en'
