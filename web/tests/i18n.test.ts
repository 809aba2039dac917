import { afterEach, describe, expect, it } from 'vitest'
import { format, hasKey, lang, localTime, pickLang, t } from '../src/i18n'
import { en } from '../src/locales/en'
import { saidZh } from '../src/locales/said.zh'
import { zh } from '../src/locales/zh'
import { STEPS, type PlayerState } from '../src/player/state'
import { said } from '../src/state/said'
import { reasonText, spanText, stateReason } from '../src/state/words'

afterEach(() => void (lang.value = 'zh'))

const holes = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1]).sort()

describe('catalogues', () => {
  it('have the same keys', () => {
    expect(Object.keys(en).sort()).toEqual(Object.keys(zh).sort())
  })

  it.each(Object.entries(zh))('%s has words and the same holes in both', (key, text) => {
    const other = en[key as keyof typeof en]
    expect(text.trim()).not.toBe('')
    expect(other.trim()).not.toBe('')
    expect(holes(other)).toEqual(holes(text))
  })

  it('are in their own language', () => {
    const chinese = Object.entries(en).filter(([key, text]) => key !== 'lang.switch' && /\p{Script=Han}/u.test(text))
    expect(chinese).toEqual([])
    const latin = Object.entries(zh).filter(([key, text]) => key !== 'lang.switch' && !/\p{Script=Han}/u.test(text) && holes(text).length === 0)
    expect(latin).toEqual([])
  })

  it('have words for every step', () => {
    expect(STEPS.filter((step) => !hasKey(`step.${step}`))).toEqual([])
  })

  it('have words for every failure a camera can have', () => {
    const reasons = [
      'connect_refused', 'connect_timeout', 'unreachable', 'options_timeout', 'describe_timeout', 'setup_timeout',
      'play_timeout', 'auth_failed', 'not_found', 'busy', 'unsupported_transport', 'no_video',
      'codec_unsupported', 'too_many_redirects', 'bad_response', 'pull_forgotten', 'desync', 'stalled', 'closed_by_peer',
    ]
    expect(reasons.filter((reason) => !hasKey(`camera.${reason}`))).toEqual([])
  })
})

describe('words', () => {
  it('tells the camera that does not find its stream from the channel that is not there', () => {
    const at = { reason: 'not_found', detail: null, atMs: 0 }
    const camera: PlayerState = { ...at, kind: 'lost', retriedBy: 'camera', step: null, retryAtMs: null, lastPacketAtMs: null }
    expect(stateReason(camera)).toBe(zh['camera.not_found'])
    expect(stateReason({ ...at, kind: 'refused' })).toBe(zh['reason.not_found'])
    expect(stateReason({ kind: 'idle' })).toBeNull()
  })

  it('names a code it has no words for', () => {
    lang.value = 'en'
    expect(reasonText('warp_core', true)).toContain('warp_core')
  })

  it('says in Chinese what the service says, with its own sentence where that knows more', () => {
    const sentence = 'Row 7 has this code already; give this one its own.'
    expect(said('not_a_table', 'The file is no table.')).toBe(saidZh.not_a_table)
    expect(said('duplicate_code', sentence)).toContain(`（${sentence}）`)
    expect(said('warp_core', sentence)).toBe(sentence)
    expect(said('constructor', null)).toBe('constructor')
    lang.value = 'en'
    expect(said('not_a_table', 'The file is no table.')).toBe('The file is no table.')
  })

  it('shows spans at a glance', () => {
    lang.value = 'en'
    expect([40, 9_940, 61_000, 600_000, 9_000_000, -5].map(spanText)).toEqual(['0.0 s', '9.9 s', '61 s', '10 min', '2 h', '0.0 s'])
  })

  it('dates a time that is not of today, with the year that is not this one', () => {
    const now = new Date(2026, 10, 27, 12).getTime()
    const of = (year: number, month: number, day: number) => localTime(new Date(year, month, day, 9, 5).getTime(), now)
    expect([of(2026, 10, 27), of(2026, 10, 3), of(2028, 10, 27)]).toEqual(['09:05:00', '11/03 09:05:00', '2028/11/27 09:05:00'])
    lang.value = 'en'
    expect([of(2026, 10, 27), of(2026, 11, 4), of(2028, 10, 27)]).toEqual(['09:05:00', '4 Dec, 09:05:00', '27 Nov 2028, 09:05:00'])
  })

  it('leaves an unknown hole to be seen', () => {
    expect(format('{a} {b}', { a: 1 })).toBe('1 {b}')
    expect(t('tile.label', { n: 2 })).toBe('第 2 窗口')
  })
})

describe('language', () => {
  it('is the remembered one, else the first the browser names, else English', () => {
    expect(pickLang(['fr-FR', 'zh-Hans-CN', 'en'], null)).toBe('zh')
    expect(pickLang(['en-GB', 'zh'], null)).toBe('en')
    expect(pickLang(['fr'], null)).toBe('en')
    expect(pickLang(['en'], 'zh')).toBe('zh')
    expect(pickLang(['zh'], 'xx')).toBe('zh')
  })
})
