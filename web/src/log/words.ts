/** The log in words. */
import { hasKey, lang, localTime, t } from '../i18n'
import { logZh } from '../locales/log.zh'
import { purposeText } from '../state/purpose'
import type { ExportRequest, LogRow, Look } from './api'

const ACT = 'log.act.'
const ACTS = Object.keys(logZh).filter((key) => key.startsWith(ACT)).map((key) => key.slice(ACT.length))

/** Every act, by its words. */
export function actChoices(): readonly { readonly act: string; readonly text: string }[] {
  return ACTS.map((act) => ({ act, text: actText(act) })).sort((a, b) => a.text.localeCompare(b.text, lang.value))
}

export function actsText(acts: readonly string[]): string {
  return acts.map(actText).join(' / ')
}

export function actText(act: string): string {
  const key = `${ACT}${act}`
  return hasKey(key) ? t(key) : act
}

/** What came of an act; of what was refused also why, where its code has words. */
export function outcomeText({ outcome, detail }: Pick<LogRow, 'outcome' | 'detail'>): string {
  const key = `log.why.${String(detail['code'])}`
  return outcome === 'refused' && hasKey(key) ? t('log.refused_for', { why: t(key) }) : t(`log.${outcome}`)
}

/** A still, or a view with every stream that it showed. */
export function lookText({ kind, profiles }: Pick<Look, 'kind' | 'profiles'>): string {
  if (kind === 'still') return t('log.still')
  const [first = '', ...others] = profiles.map((each) => (each === 'main' || each === 'sub' ? t(`tile.${each}`) : each))
  return t('log.view', { profile: others.reduce((some, next) => t('assign.joint', { some, next }), first) })
}

/** All that a request's filter says: whoever decides on it reads what the file would have. */
export function filterText({ asked, channel_name: camera, area_name: area }: ExportRequest, nowMs: number): string {
  const text = (name: string) => (typeof asked[name] === 'string' ? asked[name] : null)
  const time = (name: string) => localTime(Date.parse(text(name) ?? ''), nowMs)
  const [outcome, areaId, purpose] = [text('outcome'), text('area_id'), text('purpose')]
  const outcomeKey = `log.${outcome}`
  const parts = [
    text('subject'),
    camera ?? text('channel_id'),
    areaId === null ? null : t('log.export_area', { name: area ?? areaId }),
    Array.isArray(asked['acts']) ? actsText(asked['acts'].map(String)) : null,
    outcome === null ? null : hasKey(outcomeKey) ? t(outcomeKey) : outcome,
    purpose === null ? null : t('log.export_purpose', { name: purposeText(purpose) }),
  ].filter((each) => each !== null)
  const named = parts.length === 0 ? [t('log.export_all')] : parts
  if (text('since') !== null) named.push(t('log.export_since', { time: time('since') }))
  if (text('until') !== null) named.push(t('log.export_until', { time: time('until') }))
  return named.join(' · ')
}
