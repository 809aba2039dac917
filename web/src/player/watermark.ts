/**
 * Who watches what and when, over the picture: a photo of the screen says whose it was. Put back when
 * it is removed, hidden or changed. It holds nobody who writes programs; it tells everybody else that
 * their name is on it.
 */

const LOOK_EACH_MS = 1000
const ANGLE = -Math.PI / 9
const FONT_PX = 15
const ROW_PX = 110
const GAP_PX = 90

/** What must not be otherwise, whatever a style sheet says. */
const STYLE: Readonly<Record<string, string>> = {
  all: 'initial',
  position: 'absolute',
  inset: '0',
  width: '100%',
  height: '100%',
  display: 'block',
  opacity: '1',
  visibility: 'visible',
  'pointer-events': 'none',
  'z-index': '1',
}

export class Watermark {
  private canvas: HTMLCanvasElement
  private painted = ''
  private readonly observer = new MutationObserver(() => this.look())
  private readonly timer = setInterval(() => this.look(), LOOK_EACH_MS)

  /** `host` is positioned and has the picture; `text` is asked for once a second. */
  constructor(
    private readonly host: HTMLElement,
    private readonly text: () => string,
  ) {
    this.canvas = this.put()
    this.look()
  }

  dispose(): void {
    clearInterval(this.timer)
    this.observer.disconnect()
    this.canvas.remove()
  }

  private put(): HTMLCanvasElement {
    this.observer.disconnect()
    const canvas = document.createElement('canvas')
    canvas.setAttribute('aria-hidden', 'true')
    canvas.dataset.testid = 'watermark'
    for (const [name, value] of Object.entries(STYLE)) canvas.style.setProperty(name, value, 'important')
    this.host.append(canvas)
    this.painted = ''
    return canvas
  }

  private look(): void {
    if (!this.isSeen()) {
      this.canvas.remove()
      this.canvas = this.put()
    }
    this.paint()
    // Our own changes are no news.
    this.observer.observe(this.host, { childList: true, subtree: true, attributes: true })
    this.observer.takeRecords()
  }

  private isSeen(): boolean {
    const { canvas, host } = this
    if (canvas.parentElement !== host || canvas.nextElementSibling !== null) return false
    if (host.clientWidth === 0) return true // the whole tile is hidden
    const style = getComputedStyle(canvas)
    return style.display === 'block' && style.visibility === 'visible' && style.opacity === '1'
      && style.filter === 'none' && style.clipPath === 'none' && style.transform === 'none'
      && canvas.offsetWidth >= host.clientWidth && canvas.offsetHeight >= host.clientHeight
  }

  private paint(): void {
    const { canvas, host } = this
    const text = this.text()
    const scale = window.devicePixelRatio || 1
    const width = Math.round(host.clientWidth * scale)
    const height = Math.round(host.clientHeight * scale)
    const wanted = `${width}x${height} ${text}`
    if (wanted === this.painted && canvas.dataset.text === text && canvas.width === width) return
    this.painted = wanted
    canvas.dataset.text = text
    canvas.width = width
    canvas.height = height
    const context = canvas.getContext('2d')
    if (context === null || width === 0 || height === 0) return
    context.font = `${FONT_PX * scale}px system-ui, "Noto Sans CJK SC", sans-serif`
    context.fillStyle = 'rgb(255 255 255 / 28%)'
    context.strokeStyle = 'rgb(0 0 0 / 20%)'
    context.lineWidth = scale
    const step = context.measureText(text).width + GAP_PX * scale
    const reach = Math.hypot(width, height)
    context.translate(width / 2, height / 2)
    context.rotate(ANGLE)
    for (let row = 0, y = -reach / 2; y < reach / 2; row += 1, y += ROW_PX * scale) {
      // Every other row is shifted, so that no straight strip is free of it.
      for (let x = -reach / 2 - (row % 2) * (step / 2); x < reach / 2; x += step) {
        context.strokeText(text, x, y)
        context.fillText(text, x, y)
      }
    }
  }
}
