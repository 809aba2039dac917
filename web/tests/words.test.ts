/** What the views have for words: a part that did not come is told, and asked for again beside the rest. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import { lang, t } from '../src/i18n'
import { areas, askWords, book, loadLogWords, loadWords, sentenceOf, wordsError } from '../src/state/manage'

afterEach(() => {
  vi.unstubAllGlobals()
  lang.value = 'zh'
})

/** A service whose answers to these paths are broken. */
function service(...broken: readonly string[]): void {
  const area = { id: 'ar_1', code: '110112', name: '通州区', parent_id: null }
  vi.stubGlobal('fetch', (path: string) => {
    if (broken.includes(path)) return Promise.resolve(new Response('', { status: 502 }))
    return Promise.resolve(Response.json({ items: path === '/api/v1/areas' ? [area] : [], forms: [] }))
  })
}

describe('words that did not come', () => {
  it('are told beside those that did, which stay while the others are asked for again', async () => {
    service('/api/v1/areas')
    await loadWords()
    expect([wordsError.value?.code, areas.value, book.value === null]).toEqual(['http_502', [], false])
    service()
    const again = askWords()
    expect(book.value).not.toBeNull()
    await again
    expect([wordsError.value, areas.value.length]).toEqual([null, 1])
  })

  it('are told in the log, too', async () => {
    service('/api/v1/areas')
    await loadLogWords()
    expect(wordsError.value?.code).toBe('http_502')
  })

  it('of a view that was left are not told in the next', async () => {
    service('/api/v1/areas')
    const left = loadWords()
    service()
    await Promise.all([left, loadLogWords()])
    expect(wordsError.value).toBeNull()
  })
})

describe('an answer without a code of the service', () => {
  it.each([[0, 'network'], [200, 'bad_body'], [502, 'http_502'], [504, 'http_504']] as const)('%i %s is said in words', (status, code) => {
    for (lang.value of ['en', 'zh'] as const) {
      expect(sentenceOf({ status, code, detail: null, retryAfterMs: null })).toBe(t('manage.no_answer'))
    }
  })

  it('is not taken for one with a sentence of the service’s own', () => {
    lang.value = 'en'
    expect(sentenceOf({ status: 503, code: 'starting', detail: 'It starts.', retryAfterMs: null })).toBe('It starts.')
  })
})
