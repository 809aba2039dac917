/** Small text is read in the dark, too: WCAG 2.2, success criterion 1.4.3. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

const css = readFileSync(new URL('../src/style.css', import.meta.url), 'utf8')

function colour(name: string): string {
  const found = new RegExp(`--${name}: (#[0-9a-f]{6})`).exec(css)?.[1]
  if (found === undefined) throw new Error(`no --${name}`)
  return found
}

function luminance(hex: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5]
    .map((at) => parseInt(hex.slice(at, at + 2), 16) / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
  return 0.2126 * r + 0.7152 * g + 0.0722 * b
}

function contrast(one: string, other: string): number {
  const [light = 0, dark = 0] = [luminance(one), luminance(other)].sort((a, b) => b - a)
  return (light + 0.05) / (dark + 0.05)
}

describe('the contrast', () => {
  const pairs = ['text', 'muted', 'faint'].flatMap((text) => ['bg', 'panel', 'raised'].map((ground) => [text, ground] as const))
  it.each(pairs)('of %s on %s is 4.5 at least', (text, ground) => {
    expect(contrast(colour(text), colour(ground))).toBeGreaterThanOrEqual(4.5)
  })
})
