import { describe, expect, it } from 'vitest'
import { Api, parseRetryAfter, snapshotUrl, type Fetch } from '../src/api'
import { mediaSample, pathSample } from '../src/player/stats'
import { findLink, resolvePath } from '../src/player/whep'
import { problem } from './fakes'

function api(fetch: Fetch): { api: Api; thrownOut: () => number } {
  let count = 0
  return { api: new Api({ fetch, onUnauthenticated: () => (count += 1) }), thrownOut: () => count }
}

describe('api', () => {
  it('hands a good body over', async () => {
    const seen: string[] = []
    const { api: door } = api((url) => {
      seen.push(url)
      return Promise.resolve(Response.json({ items: [], next_cursor: null, total: 0 }))
    })
    const result = await door.channels({ q: '新华 大街', areaId: 'ar_1', cursor: 'c=1', limit: 20 })
    expect(result).toEqual({ kind: 'success', value: { items: [], next_cursor: null, total: 0 } })
    const url = new URL(seen[0] ?? '', 'http://x.invalid')
    expect(Object.fromEntries(url.searchParams)).toEqual({
      q: '新华 大街', area_id: 'ar_1', cursor: 'c=1', limit: '20',
    })
  })

  it('maps a problem body to its code', async () => {
    const { api: door, thrownOut } = api(() => Promise.resolve(problem(404, 'not_found')))
    expect(await door.me()).toEqual({
      kind: 'error', error: { status: 404, code: 'not_found', detail: 'why', retryAfterMs: null },
    })
    expect(thrownOut()).toBe(0)
  })

  it('names the field that is wrong, of the registry and of a malformed request', async () => {
    const answer = (body: object) => api(() => Promise.resolve(Response.json(body, { status: 422 }))).api.me()
    expect(await answer({ code: 'url_not_rtsp', field: 'main_url' })).toMatchObject({ error: { field: 'main_url' } })
    expect(await answer({ code: 'invalid_request', fields: [{ field: 'body.lon' }] })).toMatchObject({ error: { field: 'lon' } })
    expect(await answer({ code: 'x', fields: [] })).not.toHaveProperty('error.field')
  })

  it('hands a file over whole, and the sentence when there is none', async () => {
    const { api: good } = api(() => Promise.resolve(new Response('a,b')))
    const file = await good.file('/api/v1/channel-export')
    expect(file.kind === 'success' && (await file.value.text())).toBe('a,b')
    const { api: bad } = api(() => Promise.resolve(problem(422, 'template_invalid')))
    expect(await bad.file('/api/v1/channel-export')).toMatchObject({ error: { code: 'template_invalid', detail: 'why' } })
  })

  it('gives an answer without a problem body a code of its own', async () => {
    const { api: door } = api(() => Promise.resolve(new Response('<html>', { status: 502 })))
    expect(await door.areas()).toMatchObject({ kind: 'error', error: { code: 'http_502', status: 502 } })
  })

  it('throws out on 401, but not for a wrong password', async () => {
    const { api: door, thrownOut } = api(() => Promise.resolve(problem(401, 'unauthenticated')))
    expect(await door.signIn('yongshun', 'x')).toMatchObject({ kind: 'error' })
    expect(thrownOut()).toBe(0)
    await door.me()
    expect(thrownOut()).toBe(1)
  })

  it('tells an aborted call from a broken network', async () => {
    const { api: aborted } = api(() => Promise.reject(new DOMException('', 'AbortError')))
    expect(await aborted.me()).toEqual({ kind: 'aborted' })
    const { api: broken } = api(() => Promise.reject(new TypeError('Failed to fetch')))
    expect(await broken.me()).toMatchObject({ kind: 'error', error: { code: 'network', status: 0 } })
  })

  it('says so when a good answer is not JSON', async () => {
    const { api: door } = api(() => Promise.resolve(new Response('{', { status: 200 })))
    expect(await door.me()).toMatchObject({ kind: 'error', error: { code: 'bad_body' } })
  })

  it('takes a 204 as success', async () => {
    const { api: door } = api(() => Promise.resolve(new Response(null, { status: 204 })))
    expect(await door.signOut()).toEqual({ kind: 'success', value: null })
  })

  it('escapes ids in paths', () => {
    expect(snapshotUrl('a/b', 'sub')).toBe('/api/v1/channels/a%2Fb/snapshot.jpg?profile=sub')
  })
})

describe('headers', () => {
  it('reads Retry-After in seconds and as a date', () => {
    expect(parseRetryAfter('3', 0)).toBe(3000)
    expect(parseRetryAfter('Thu, 01 Jan 1970 00:00:09 GMT', 4000)).toBe(5000)
    expect(parseRetryAfter('soon', 0)).toBeNull()
    expect(parseRetryAfter(null, 0)).toBeNull()
  })

  it('finds a link by its relation among others', () => {
    const header = '</a>; rel="ice-server"; x=1, </b/events>; events="state"; rel="one urn:two"'
    expect(findLink(header, 'urn:two')).toBe('/b/events')
    expect(findLink(header, 'urn:three')).toBeNull()
    expect(findLink('</c>; rel=urn:two', 'urn:two')).toBe('/c')
    expect(findLink(null, 'x')).toBeNull()
  })

  it('resolves a relative Location against the request', () => {
    expect(resolvePath('ch_1/v1', '/whep/ch_1?profile=sub')).toBe('/whep/ch_1/v1')
    expect(resolvePath('/whep/ch_1/v1', '/whep/ch_1')).toBe('/whep/ch_1/v1')
  })
})

describe('stats', () => {
  const report = (entries: ({ id: string } & Record<string, unknown>)[]) =>
    new Map(entries.map((entry) => [entry.id, entry])) as unknown as RTCStatsReport

  it('reads the video and the age of its newest packet', () => {
    const inbound = {
      id: 'a', type: 'inbound-rtp', kind: 'video', timestamp: 5000, lastPacketReceivedTimestamp: 4960,
      packetsReceived: 9, bytesReceived: 99, framesDecoded: 3, frameWidth: 640, frameHeight: 360,
    }
    expect(mediaSample(report([inbound]))).toMatchObject({ packets: 9, lastPacketAgeMs: 40, width: 640 })
    expect(mediaSample(report([{ ...inbound, lastPacketReceivedTimestamp: 1.6e12 }]))?.lastPacketAgeMs).toBeNull()
    expect(mediaSample(report([]))).toBeNull()
  })

  it('reads the selected path', () => {
    const entries = [
      { id: 't', type: 'transport', selectedCandidatePairId: 'p', srtpCipher: 'AEAD_AES_256_GCM' },
      { id: 'p', type: 'candidate-pair', remoteCandidateId: 'r', currentRoundTripTime: 0.0021 },
      { id: 'r', type: 'remote-candidate', protocol: 'udp', address: '10.1.1.5', port: 8189 },
    ]
    expect(pathSample(report(entries))).toEqual({
      protocol: 'udp', remote: '10.1.1.5:8189', roundTripMs: 2, srtpCipher: 'AEAD_AES_256_GCM',
    })
    expect(pathSample(report([]))).toBeNull()
  })
})
