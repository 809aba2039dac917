/**
 * The area tree as rows: what is visible, and where an arrow key leads. Pure.
 * Follows the ARIA tree pattern: right opens or goes in, left closes or goes out.
 */
import type { Area } from '../api'

export interface AreaRow {
  readonly area: Area
  readonly level: number
  readonly hasChildren: boolean
  readonly expanded: boolean
  readonly position: number
  readonly siblings: number
}

export class AreaIndex {
  private readonly children = new Map<string | null, Area[]>()
  private readonly byId: ReadonlyMap<string, Area>

  constructor(areas: readonly Area[]) {
    this.byId = new Map(areas.map((area) => [area.id, area]))
    for (const area of areas) {
      // An area whose parent we may not see stands at the top.
      const parent = area.parent_id !== null && this.byId.has(area.parent_id) ? area.parent_id : null
      const siblings = this.children.get(parent)
      if (siblings === undefined) this.children.set(parent, [area])
      else siblings.push(area)
    }
  }

  get(id: string | null): Area | null {
    return id === null ? null : (this.byId.get(id) ?? null)
  }

  childrenOf(id: string | null): readonly Area[] {
    return this.children.get(id) ?? []
  }

  /** The areas to show open at first: down to the first level that offers a choice. */
  firstExpanded(): Set<string> {
    const open = new Set<string>()
    let level = this.childrenOf(null)
    while (level.length === 1 && level[0] !== undefined) {
      open.add(level[0].id)
      level = this.childrenOf(level[0].id)
    }
    return open
  }

  rows(expanded: ReadonlySet<string>): AreaRow[] {
    const rows: AreaRow[] = []
    const walk = (parent: string | null, level: number) => {
      const siblings = this.childrenOf(parent)
      siblings.forEach((area, index) => {
        const hasChildren = this.childrenOf(area.id).length > 0
        const open = hasChildren && expanded.has(area.id)
        rows.push({
          area, level, hasChildren, expanded: open, position: index + 1, siblings: siblings.length,
        })
        if (open) walk(area.id, level + 1)
      })
    }
    walk(null, 1)
    return rows
  }
}

export type TreeMove =
  | { readonly kind: 'focus'; readonly id: string }
  | { readonly kind: 'expand' | 'collapse' | 'choose'; readonly id: string }

/** What a key does with the focus on `id`; null when it does nothing. */
export function treeMove(rows: readonly AreaRow[], id: string, key: string): TreeMove | null {
  const index = rows.findIndex((row) => row.area.id === id)
  const row = rows[index]
  if (row === undefined) return null
  const focus = (target: AreaRow | undefined): TreeMove | null =>
    target === undefined ? null : { kind: 'focus', id: target.area.id }
  switch (key) {
    case 'ArrowDown': return focus(rows[index + 1])
    case 'ArrowUp': return focus(rows[index - 1])
    case 'Home': return focus(rows[0])
    case 'End': return focus(rows[rows.length - 1])
    case 'ArrowRight':
      if (!row.hasChildren) return null
      return row.expanded ? focus(rows[index + 1]) : { kind: 'expand', id }
    case 'ArrowLeft':
      if (row.expanded) return { kind: 'collapse', id }
      return focus(rows.slice(0, index).reverse().find((above) => above.level < row.level))
    case 'Enter':
    case ' ': return { kind: 'choose', id }
    default: return null
  }
}
