/**
 * The fields of a camera as words: labels, and values as people read them. Pure but for the language.
 */
import type { Area } from '../api'
import { hasKey, lang, t } from '../i18n'
import type { Field, Fields, Words } from './api'

/** A heading that no form knows is kept under this, with the heading behind it. */
export const OTHER = 'other.'
const JOINT = '/'

export function inLang(words: Words): string {
  return words[lang.value]
}

export class FieldBook {
  private readonly byKey: ReadonlyMap<string, Field>
  private readonly areasByCode: ReadonlyMap<string, Area>

  constructor(readonly fields: Fields, areas: readonly Area[]) {
    this.byKey = new Map(fields.items.map((field) => [field.key, field]))
    this.areasByCode = new Map(areas.map((area) => [area.code, area]))
  }

  get(key: string): Field | null {
    return this.byKey.get(key) ?? null
  }

  inSection(section: string): readonly Field[] {
    return this.fields.items.filter((field) => field.section === section)
  }

  label(key: string): string {
    const field = this.byKey.get(key)
    if (field !== undefined) return inLang(field)
    if (key.startsWith(OTHER)) return key.slice(OTHER.length)
    const own = `field.${key}`
    return hasKey(own) ? t(own) : key
  }

  /** A value as a form would show it: the words of a code or a state, the name of an area. */
  text(key: string, value: string): string {
    const field = this.byKey.get(key)
    const own = `${key}.${value}`
    if (field === undefined && hasKey(own)) return t(own)
    if (value === '' || field === undefined) return value
    if (field.kind === 'boolean') return t(value === 'true' ? 'field.yes' : 'field.no')
    if (field.kind === 'area') return this.areasByCode.get(value)?.name ?? value
    if (field.kind !== 'choice' && field.kind !== 'choices') return value
    return value.split(JOINT).map((code) => this.choice(field, code)).join(` ${JOINT} `)
  }

  private choice(field: Field, code: string): string {
    const found = field.choices.find((choice) => choice.code === code)
    return found === undefined ? code : inLang(found)
  }
}

/** Several codes in one value: those chosen, in the table's order, strangers behind. */
export function joined(field: Field, codes: ReadonlySet<string>): string {
  const known = field.choices.map((choice) => choice.code)
  return [...known.filter((code) => codes.has(code)), ...[...codes].filter((code) => !known.includes(code))].join(JOINT)
}

export function split(value: string): Set<string> {
  return new Set(value.split(JOINT).filter((code) => code !== ''))
}
