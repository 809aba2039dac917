/**
 * What the service says, in the language of the page: by its stable code where there are words for it
 * (`locales/said.zh.ts`), else the service's own sentence.
 */
import { format, lang } from '../i18n'
import { saidZh } from '../locales/said.zh'

export function said(code: string | null, sentence: string | null): string {
  const own = code !== null && lang.value === 'zh' && Object.hasOwn(saidZh, code) ? saidZh[code] : undefined
  return own === undefined ? (sentence ?? code ?? '') : format(own, { detail: sentence ?? code ?? '' })
}
