/**
 * Reads what a tile needs out of `RTCPeerConnection.getStats()`. Pure, tolerant of missing fields.
 */

export interface MediaSample {
  readonly packets: number
  readonly bytes: number
  /** Packets that came because they had been lost and asked for again. */
  readonly retransmitted: number
  readonly picturesDecoded: number
  readonly width: number
  readonly height: number
  readonly picturesPerSecond: number | null
  readonly soundPackets: number
  /** Age of the newest packet by the browser's own record, when it keeps one. */
  readonly lastPacketAgeMs: number | null
}

export interface PathSample {
  readonly protocol: string
  readonly remote: string
  readonly roundTripMs: number | null
  readonly srtpCipher: string | null
}

type Entry = Record<string, unknown>

function entries(report: RTCStatsReport): Entry[] {
  const all: Entry[] = []
  report.forEach((entry: Entry) => all.push(entry))
  return all
}

function num(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null
}

function text(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}

/** The video being received, or null before there is any. */
export function mediaSample(report: RTCStatsReport): MediaSample | null {
  const received = (kind: string) => entries(report).find((e) => e.type === 'inbound-rtp' && e.kind === kind)
  const inbound = received('video')
  if (inbound === undefined) return null
  const at = num(inbound.timestamp)
  const last = num(inbound.lastPacketReceivedTimestamp)
  const ageMs = at !== null && last !== null ? at - last : null
  return {
    packets: num(inbound.packetsReceived) ?? 0,
    bytes: num(inbound.bytesReceived) ?? 0,
    retransmitted: num(inbound.retransmittedPacketsReceived) ?? 0,
    picturesDecoded: num(inbound.framesDecoded) ?? 0,
    width: num(inbound.frameWidth) ?? 0,
    height: num(inbound.frameHeight) ?? 0,
    picturesPerSecond: num(inbound.framesPerSecond),
    soundPackets: num(received('audio')?.packetsReceived) ?? 0,
    // Browsers disagree on the clock of the field: only a plausible difference is an age.
    lastPacketAgeMs: ageMs !== null && ageMs >= 0 && ageMs < 3_600_000 ? ageMs : null,
  }
}

/** The network path in use: the selected candidate pair and the cipher on it. */
export function pathSample(report: RTCStatsReport): PathSample | null {
  const all = entries(report)
  const transport = all.find((e) => e.type === 'transport')
  const pair =
    all.find((e) => e.type === 'candidate-pair' && e.id === transport?.selectedCandidatePairId) ??
    all.find((e) => e.type === 'candidate-pair' && e.nominated === true && e.state === 'succeeded')
  if (pair === undefined) return null
  const remote = all.find((e) => e.id === pair.remoteCandidateId)
  const seconds = num(pair.currentRoundTripTime)
  const address = text(remote?.address) ?? text(remote?.ip) ?? '?'
  return {
    protocol: text(remote?.protocol) ?? '?',
    remote: `${address}:${num(remote?.port) ?? '?'}`,
    roundTripMs: seconds === null ? null : Math.round(seconds * 1000),
    srtpCipher: text(transport?.srtpCipher),
  }
}
