/**
 * A mock of the service, as a Vite plugin: enough of its HTTP to see every state of the page.
 * Which fate a channel has goes by its number: see `fates`. Live ones get their video from a peer
 * in the page itself (`loopback.ts`), which fetches offers here and leaves answers.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Plugin } from 'vite'
import { acceptAnswer } from './accept.ts'
import { areas, channels, isWithin } from './data.ts'
import { loansAnswer } from './loans.ts'
import { logAnswer } from './log.ts'
import { manageAnswer, type Answer } from './manage.ts'

type Fate = 'live' | 'auth_failed' | 'connect_timeout' | 'slow' | 'not_found' | 'flapping' | 'full' | 'main_h265'
/** By channel number; every other channel is live. */
const fates: Record<number, Fate> = { 1: 'auth_failed', 2: 'connect_timeout', 3: 'slow', 4: 'not_found', 5: 'flapping', 6: 'full', 10: 'main_h265' }

interface Offer { readonly viewId: string; readonly channelId: string; readonly sdp: string }

const offers: Offer[] = []
const answers = new Map<string, (sdp: string) => void>()
const KEYFRAME_AFTER_MS = 1500
const viewChannels = new Map<string, string>()
const feeds = new Map<string, ServerResponse>()
let views = 0

/** `admin` manages the cameras; anybody else watches. */
function subject(username: string): object {
  const admin = username === 'admin'
  return { id: `su_${username}`, username, display_name: admin ? '平台管理员' : '通州区值班员', kind: 'person', may_manage: admin, manages_district: admin, may_audit: admin, grants: [], due: null }
}

function json(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  const type = status >= 400 ? 'application/problem+json' : 'application/json'
  response.writeHead(status, { 'Content-Type': type, ...headers }).end(JSON.stringify(body))
}

function problem(response: ServerResponse, status: number, code: string, headers: Record<string, string> = {}): void {
  json(response, status, { type: 'about:blank', title: code, status, code, detail: null }, headers)
}

function send(response: ServerResponse, { status, body, file }: Answer): void {
  if (file !== undefined) response.writeHead(status, { 'Content-Type': file }).end(String(body))
  else if (status === 204) response.writeHead(status).end()
  else json(response, status, body)
}

async function body(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of request) text += String(chunk)
  return text
}

function listChannels(url: URL, manages: boolean, response: ServerResponse): void {
  const q = url.searchParams.get('q') ?? ''
  const areaId = url.searchParams.get('area_id')
  const filing = url.searchParams.get('filing')
  const start = Number(url.searchParams.get('cursor') ?? 0)
  const limit = Number(url.searchParams.get('limit') ?? 50)
  const found = channels.filter((c) => (c.name.includes(q) || c.code.includes(q)) && (areaId === null || isWithin(c.area_id, areaId)) && (filing === null || c.filing === filing))
    .map((c) => (manages ? { ...c, may: [...c.may, 'manage'] } : c))
  const next = start + limit < found.length ? String(start + limit) : null
  json(response, 200, { items: found.slice(start, start + limit), next_cursor: next, total: found.length })
}

/** The main stream comes with its next keyframe: a little later. */
async function switchView(viewId: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { profile } = JSON.parse(await body(request)) as { profile: string }
  const channelId = viewChannels.get(viewId)
  if (channelId === undefined) return problem(response, 404, 'not_found')
  if (fates[Number(channelId.slice(3))] === 'main_h265' && profile === 'main') return problem(response, 422, 'no_common_codec')
  const other = profile === 'main' ? 'sub' : 'main'
  json(response, 200, { id: viewId, profile: other, wanted_profile: profile })
  const state = { state: 'live', profile, wanted_profile: profile }
  setTimeout(() => feeds.get(viewId)?.write(`event: state\ndata: ${JSON.stringify(state)}\n\n`), KEYFRAME_AFTER_MS)
}

async function openView(url: URL, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const channelId = url.pathname.split('/')[2] ?? ''
  const fate = fates[Number(channelId.slice(3))] ?? 'live'
  const sdp = await body(request)
  if (fate === 'not_found') return problem(response, 404, 'not_found')
  if (fate === 'main_h265' && url.searchParams.get('profile') === 'main') return problem(response, 422, 'no_common_codec')
  if (fate === 'full') return problem(response, 503, 'over_capacity', { 'Retry-After': '8' })
  const viewId = `view${++views}`
  viewChannels.set(viewId, channelId)
  offers.push({ viewId, channelId, sdp })
  const answer = await new Promise<string>((resolve) => answers.set(viewId, resolve))
  const location = `/whep/${channelId}/${viewId}`
  const link = `<${location}/events>; rel="urn:ietf:params:whep:ext:core:server-sent-events"`
  response.writeHead(201, { 'Content-Type': 'application/sdp', Location: location, Link: link }).end(answer)
}

function openFeed(channelId: string, viewId: string, response: ServerResponse): void {
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' })
  feeds.set(viewId, response)
  const send = (event: string, data: object) => response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
  const step = (name: string, ms: number) => send('step', { step: name, at_ms: Date.now(), elapsed_ms: ms })
  const lost = (reason: string, detail: string | null, last: string) => {
    const untilMs = Date.now() + 20_000
    const tell = () => send('state', { state: 'lost', reason, detail, step: last, retry_in_ms: Math.max(0, untilMs - Date.now()) })
    tell()
    const timer = setInterval(tell, 1000)
    response.on('close', () => clearInterval(timer))
  }
  step('permit', 1)
  step('dial', 2)
  switch (fates[Number(channelId.slice(3))] ?? 'live') {
    case 'auth_failed':
      step('connected', 4)
      return lost('auth_failed', '401 Unauthorized to DESCRIBE', 'connected')
    case 'connect_timeout':
      return void setTimeout(() => lost('connect_timeout', null, 'dial'), 1500)
    case 'slow':
      for (const [i, name] of ['connected', 'describe', 'setup', 'ice', 'dtls', 'play'].entries()) setTimeout(() => step(name, 6 + i * 9), 6 + i * 9)
      return
    case 'flapping':
      return void setTimeout(() => lost('closed_by_peer', 'connection reset by peer', 'first_sent'), 6000)
    default:
      for (const [i, name] of ['connected', 'describe', 'setup', 'play', 'first_packet'].entries()) step(name, 5 + i * 3)
  }
}

async function handle(request: IncomingMessage, response: ServerResponse): Promise<boolean> {
  const url = new URL(request.url ?? '/', 'http://mock.invalid')
  const { pathname } = url
  const method = request.method ?? 'GET'
  const signedIn = /streamhub_sign_in=demo-(\w+)/.exec(request.headers.cookie ?? '')?.[1]
  if (pathname === '/dev/offers') return json(response, 200, offers.splice(0)), true
  if (pathname.startsWith('/dev/answers/')) {
    const id = pathname.slice(13)
    answers.get(id)?.(await body(request))
    return json(response, 200, {}), true
  }
  if (pathname === '/healthz') return json(response, 200, { status: 'ok' }), true
  if (!pathname.startsWith('/api/') && !pathname.startsWith('/whep/')) return false
  if (pathname === '/api/v1/sign-in') {
    const { username, password } = JSON.parse(await body(request)) as { username: string; password: string }
    if (password !== `demo-${username}`) return problem(response, 401, 'bad_credentials'), true
    return json(response, 200, { subject: subject(username) }, { 'Set-Cookie': `streamhub_sign_in=${password}; HttpOnly; SameSite=Strict; Path=/` }), true
  }
  if (pathname === '/api/v1/sign-out') {
    response.writeHead(204, { 'Set-Cookie': 'streamhub_sign_in=; Max-Age=0; Path=/' }).end()
    return true
  }
  const [, root, channelId, viewId, tail] = pathname.split('/')
  if (root === 'whep' && method === 'DELETE') return json(response, 200, {}), true
  if (signedIn === undefined) return problem(response, 401, 'unauthenticated'), true
  if (pathname === '/api/v1/oidc') return json(response, 200, { enabled: false, label: null }), true
  if (pathname === '/api/v1/me') return json(response, 200, subject(signedIn)), true
  if (pathname === '/api/v1/areas') return json(response, 200, { items: areas }), true
  if (pathname === '/api/v1/channels') return listChannels(url, signedIn === 'admin', response), true
  const logged = logAnswer(url, signedIn)
  if (logged !== null) return send(response, logged), true
  if (pathname.startsWith('/api/v1/loans')) return send(response, loansAnswer(method, pathname, await body(request), signedIn)), true
  const switched = /^\/api\/v1\/views\/([^/]+)\/profile$/.exec(pathname)
  if (switched?.[1] !== undefined && method === 'PUT') return await switchView(switched[1], request, response), true
  if (root === 'whep' && method === 'POST') return await openView(url, request, response), true
  if (root === 'whep' && tail === 'events') return openFeed(channelId ?? '', viewId ?? '', response), true
  if (root === 'api' && signedIn === 'admin') {
    const text = await body(request)
    const answer = acceptAnswer(method, url, text) ?? manageAnswer(method, url, text)
    if (answer !== null) return send(response, answer), true
  }
  return problem(response, 404, 'unknown_route'), true
}

export function mockService(): Plugin {
  return {
    name: 'mock-service',
    configureServer(server) {
      server.middlewares.use((request, response, next) => {
        handle(request, response).then((done) => done || next(), next)
      })
    },
    transformIndexHtml: () => [{ tag: 'script', attrs: { type: 'module', src: '/dev/loopback.ts' }, injectTo: 'body' }],
  }
}
