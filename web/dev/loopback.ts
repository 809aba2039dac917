/**
 * The camera of the mock: a second peer in the same page that draws a moving picture and answers
 * the offers the mock collected. Some get an answer but no picture, some stop after a while.
 */
const POLL_MS = 50
const STOPS_AFTER_MS = 5000
const NO_PICTURE = new Set(['ch_1', 'ch_2', 'ch_3'])

function draw(canvas: HTMLCanvasElement, channelId: string): void {
  const context = canvas.getContext('2d')
  if (context === null) return
  const { width, height } = canvas
  const hue = (Number(channelId.slice(3)) * 47) % 360
  const sky = context.createLinearGradient(0, 0, 0, height)
  sky.addColorStop(0, `hsl(${hue} 18% 34%)`)
  sky.addColorStop(1, `hsl(${hue} 22% 16%)`)
  context.fillStyle = sky
  context.fillRect(0, 0, width, height)
  context.fillStyle = `hsl(${hue} 14% 24%)`
  for (let n = 0; n < 9; n++) context.fillRect(n * 76 - 20, 130 + ((n * 53) % 70), 56, height)
  context.fillStyle = '#e8e2c8'
  context.fillRect((performance.now() / 12) % width, height - 42, 34, 12)
  context.font = '20px monospace'
  context.fillText(`${channelId} ${new Date().toISOString().slice(11, 23)}`, 16, 66)
}

async function answer(offer: { viewId: string; channelId: string; sdp: string }): Promise<void> {
  const peer = new RTCPeerConnection()
  const canvas = Object.assign(document.createElement('canvas'), { width: 640, height: 360 })
  const timer = setInterval(() => draw(canvas, offer.channelId), 66)
  await peer.setRemoteDescription({ type: 'offer', sdp: offer.sdp })
  const stream = canvas.captureStream(15)
  for (const track of stream.getTracks()) {
    if (!NO_PICTURE.has(offer.channelId)) peer.addTrack(track, stream)
  }
  await peer.setLocalDescription(await peer.createAnswer())
  await new Promise<void>((resolve) => {
    const look = () => peer.iceGatheringState === 'complete' && resolve()
    peer.onicegatheringstatechange = look
    look()
  })
  const stop = () => {
    clearInterval(timer)
    for (const sender of peer.getSenders()) sender.track?.stop()
  }
  if (offer.channelId === 'ch_7' || offer.channelId === 'ch_5') setTimeout(stop, STOPS_AFTER_MS)
  peer.onconnectionstatechange = () => peer.connectionState === 'failed' && stop()
  await fetch(`/dev/answers/${offer.viewId}`, { method: 'POST', body: peer.localDescription?.sdp ?? '' })
}

async function poll(): Promise<void> {
  const response = await fetch('/dev/offers').catch(() => null)
  if (response?.ok) {
    const offers = (await response.json()) as { viewId: string; channelId: string; sdp: string }[]
    for (const offer of offers) void answer(offer)
  }
  setTimeout(() => void poll(), POLL_MS)
}

void poll()
