/** Inspections of the mocked service: a run that goes on with each look; cards of every verdict. */
import type { Advice, CardFacts, InspectionScope, Judgement, Run, VerdictCard } from '../src/manage/inspections'
import { channels, isWithin } from './data.ts'
import { AT, ok, refuse, type Answer } from './manage.ts'

export const STILL = `<svg xmlns="http://www.w3.org/2000/svg" width="480" height="270"><rect width="480" height="270" fill="#2c4a3a"/><circle cx="240" cy="135" r="60" fill="#88b090"/></svg>`

const runs: { run: Run; ids: readonly string[] }[] = []
const cards: VerdictCard[] = []
const LOOKS = 3

const FACTS: CardFacts = {
  codec: 'H264', profile: 'High', level: '4.0', width: 1920, height: 1080, interlaced: false, fps_declared: 25, fps_measured: 25, bit_rate_bps: 4_120_000,
  gop_ms: 2000, gop_pictures: 50, gop_at_least_ms: 4000, b_frames: false, audio: 'PCMA', transport: 'tcp', clock_skew_ms: -320, first_keyframe_ms: 140, packets_lost: 0,
}
const NOTHING: CardFacts = {
  codec: null, profile: null, level: null, width: null, height: null, interlaced: null, fps_declared: null, fps_measured: null, bit_rate_bps: null,
  gop_ms: null, gop_pictures: null, gop_at_least_ms: null, b_frames: null, audio: null, transport: null, clock_skew_ms: null, first_keyframe_ms: null, packets_lost: 0,
}
const ADVICE: Record<string, Advice> = {
  gop: { code: 'gop_long', severity: 'warning', zh: '关键帧间隔过长；请在"视频编码"菜单把 I 帧间隔设为 50（25 帧时）。', en: 'The keyframes are far apart; set the I-frame interval to 50 at 25 frames a second.' },
  b: { code: 'b_frames', severity: 'error', zh: '码流含 B 帧，浏览器不能播放；请改用 Baseline，或在 Main 档次关闭 B 帧。', en: 'The stream has B-frames, which browsers do not play; set Baseline, or Main with B-frames off.' },
  dead: { code: 'connect_timeout', severity: 'error', zh: '设备无应答；请检查供电、网线、IP 地址和中间防火墙。', en: 'Nothing answered; check power, cable, IP address and the firewall on the way.' },
}

function cardOf(id: string, profile: 'main' | 'sub'): VerdictCard | null {
  const channel = channels.find((each) => each.id === id)
  if (channel === undefined) return null
  const kind = Number(id.slice(3)) % 4
  const of = (verdict: Judgement, findings: readonly (Advice | undefined)[], facts: CardFacts): VerdictCard => ({
    channel_id: id, code: channel.code, name: channel.name, area_id: channel.area_id, filing: channel.filing, profile, at: AT, verdict,
    findings: findings.filter((each) => each !== undefined), facts, has_picture: verdict !== 'fails' || facts.codec !== null,
  })
  const facts = profile === 'sub' ? { ...FACTS, width: 640, height: 360, bit_rate_bps: 512_000 } : FACTS
  if (kind === 2) return of('fails', [ADVICE.dead], NOTHING)
  if (kind === 1 && profile === 'main') return of('fails', [ADVICE.b, ADVICE.gop], { ...facts, b_frames: true, gop_ms: null })
  return kind === 3 ? of('limited', [ADVICE.gop], { ...facts, gop_ms: 10_000, gop_pictures: 250 }) : of('plays', [], facts)
}

export function inspectionAnswer(method: string, id: string | undefined, part: string | undefined, body: string): Answer {
  if (id === undefined) return method === 'POST' ? begin(JSON.parse(body) as InspectionScope & { profiles: Run['profiles'] }) : ok({ items: runs.map((each) => each.run).reverse().slice(0, 1), next_cursor: null })
  const found = runs.find((each) => each.run.id === id)
  if (found === undefined) return refuse(404, 'not_found', 'There is no such inspection.')
  if (method === 'DELETE' && found.run.state === 'running') found.run = { ...found.run, state: 'stopped' }
  else if (part === undefined && found.run.state === 'running') goOn(found)
  return ok(found.run)
}

function begin(order: InspectionScope & { profiles: Run['profiles'] }): Answer {
  if (runs.some((each) => each.run.state === 'running')) return refuse(409, 'inspection_under_way', 'An inspection is under way; wait for its end, or stop it.')
  const { area_id: areaId, channel_ids: chosen } = order
  const ids = channels.filter((each) => (chosen === undefined || chosen.includes(each.id)) && (areaId === undefined || isWithin(each.area_id, areaId))).map((each) => each.id)
  const run: Run = { id: `in_${runs.length + 1}`, created_at: AT, created_by: 'admin', profiles: order.profiles, total: ids.length * order.profiles.length, done: 0, counts: {}, state: 'running' }
  runs.push({ run, ids })
  return ok(run, 202)
}

function goOn(found: { run: Run; ids: readonly string[] }): void {
  const { run, ids } = found
  const targets = ids.flatMap((id) => run.profiles.map((profile) => ({ id, profile })))
  const counts: Record<string, number> = { ...run.counts }
  const done = Math.min(targets.length, run.done + Math.ceil(targets.length / LOOKS))
  for (const { id, profile } of targets.slice(run.done, done)) {
    const card = cardOf(id, profile)
    if (card === null) continue
    const at = cards.findIndex((each) => each.channel_id === id && each.profile === profile)
    if (at >= 0) cards.splice(at, 1)
    cards.push(card)
    counts[card.verdict] = (counts[card.verdict] ?? 0) + 1
  }
  found.run = { ...run, done, counts, state: done === targets.length ? 'done' : 'running' }
}

export function cardsAnswer(query: URLSearchParams): Answer {
  const is = (key: string, value: string | null) => !query.has(key) || query.get(key) === value
  const ids = query.getAll('channel_id')
  const areaId = query.get('area_id')
  const state = (card: VerdictCard) => channels.find((each) => each.id === card.channel_id)?.filing ?? null
  const found = cards.map((card) => ({ ...card, filing: state(card) })).filter((card) =>
    is('verdict', card.verdict) && is('profile', card.profile) && is('filing', card.filing) && (ids.length === 0 || ids.includes(card.channel_id)) && (areaId === null || isWithin(card.area_id ?? '', areaId)))
  return ok({ items: found.slice(0, Number(query.get('limit') ?? 50)), next_cursor: null, total: found.length })
}
