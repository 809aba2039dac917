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

/** Local wall-clock time, with the date when it is not today, and the year when it is not this one. */
export function localTime(atMs: number, nowMs: number): string {
  const at = new Date(atMs)
  const now = new Date(nowMs)
  const sameDay = at.toDateString() === now.toDateString()
  const options: Intl.DateTimeFormatOptions = { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false }
  if (!sameDay) Object.assign(options, { month: '2-digit', day: '2-digit' })
  if (at.getFullYear() !== now.getFullYear()) options.year = 'numeric'
  return new Intl.DateTimeFormat(lang.value === 'zh' ? 'zh-CN' : 'en-GB', options).format(at)
}
