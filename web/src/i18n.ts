/**
 * Words for people: the chosen language and the lookup in its catalogue.
 * Keys are typed by the Chinese catalogue; the English one must have every one of them.
 */
import { ref } from 'vue'
import { en } from './locales/en'
import { zh, type Key } from './locales/zh'

export type Lang = 'zh' | 'en'
export type { Key }

const STORAGE_KEY = 'streamhub.lang'
const catalogues: Record<Lang, Record<Key, string>> = { zh, en }

/** The first language of the browser that we have; English when it has neither. */
export function pickLang(preferred: readonly string[], stored: string | null): Lang {
  if (stored === 'zh' || stored === 'en') return stored
  for (const tag of preferred) {
    const base = tag.toLowerCase().split('-')[0]
    if (base === 'zh' || base === 'en') return base
  }
  return 'en'
}

export const lang = ref<Lang>('zh')

export function startI18n(): void {
  setLang(pickLang(navigator.languages, localStorage.getItem(STORAGE_KEY)), false)
}

export function setLang(next: Lang, remember = true): void {
  lang.value = next
  document.documentElement.lang = next === 'zh' ? 'zh-CN' : 'en'
  if (remember) localStorage.setItem(STORAGE_KEY, next)
}

/** Fills `{name}` holes; an unknown hole stays as it is, so that a test can see it. */
export function format(text: string, params: Record<string, string | number> = {}): string {
  return text.replace(/\{(\w+)\}/g, (hole, name: string) => String(params[name] ?? hole))
}

export function t(key: Key, params?: Record<string, string | number>): string {
  return format(catalogues[lang.value][key], params)
}

export function hasKey(key: string): key is Key {
  return Object.hasOwn(zh, key)
}

/** Wall-clock time, with the date when it is not today, and the year when it is not this one; in English with the month's name, which no order of numbers makes another; by this computer's clock where no zone is given. */
export function localTime(atMs: number, nowMs: number, timeZone?: string): string {
  // 11/27/2026
  const [day = '', today = ''] = [atMs, nowMs].map((ms) => new Intl.DateTimeFormat('en-US', { timeZone, year: 'numeric', month: '2-digit', day: '2-digit' }).format(ms))
  const options: Intl.DateTimeFormatOptions = { timeZone, hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false }
  if (day !== today) Object.assign(options, lang.value === 'zh' ? { month: '2-digit', day: '2-digit' } : { month: 'short', day: 'numeric' })
  if (day.slice(6) !== today.slice(6)) options.year = 'numeric'
  return new Intl.DateTimeFormat(lang.value === 'zh' ? 'zh-CN' : 'en-GB', options).format(atMs)
}

/** By which the service has hours of the week; it has had no summer time since 1991. */
export function beijingTime(atMs: number, nowMs: number): string {
  return localTime(atMs, nowMs, 'Asia/Shanghai')
}
