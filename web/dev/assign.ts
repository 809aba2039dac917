/** Assignment in the mocked service: every draft belongs one grid on. */
import type { Chosen } from '../src/manage/filing'
import type { Move } from '../src/manage/assign'
import { areas, channels, isWithin } from './data.ts'
import { importedIds, ok, refuse, type Answer } from './manage.ts'

type Asked = Partial<Record<'area_id' | 'import_id' | 'plan', string>> & { channel_ids?: string[] }

const grids = areas.filter((each) => each.kind === 'grid')

function moves(asked: Asked): Move[] {
  const brought = asked.import_id === undefined ? null : importedIds(asked.import_id)
  return channels
    .filter((each) => each.filing !== 'filed' && (asked.channel_ids?.includes(each.id) ?? true) && (asked.area_id === undefined || isWithin(each.area_id, asked.area_id)) && (brought?.includes(each.id) ?? true))
    .map((each, index) => ({
      id: each.id, code: each.code, name: each.name, filing: each.filing, from_area_id: each.area_id,
      to_area_id: grids[(grids.findIndex((grid) => grid.id === each.area_id) + 1) % grids.length]?.id ?? each.area_id,
      rule_id: index % 3 === 0 ? 'ru_1' : null, schematic: index % 3 === 1,
    }))
}

const planOf = (found: readonly Move[]) => `plan-${found.map((each) => `${each.id}>${each.to_area_id}`).join()}`

export function assignAnswer(part: string | undefined, body: string): Answer {
  const asked = JSON.parse(body) as Asked & Partial<Chosen>
  const found = moves(asked)
  if (part === 'preview') {
    const seen = found.map(({ id, code, name }) => ({ id, code, name }))
    const audience = seen.length === 0 ? [] : [
      { subject_id: 'su_1', username: 'yongshun', display_name: '永顺镇值班室', gained: seen.length, lost: 0, gained_cameras: seen.slice(0, 50), lost_cameras: [] },
      { subject_id: 'su_2', username: 'liyuan', display_name: '梨园镇值班室', gained: 0, lost: 1, gained_cameras: [], lost_cameras: seen.slice(0, 1) },
    ]
    return ok({ plan: planOf(found), looked_at: found.length + 4, moves: found.length, schematic: found.filter((each) => each.schematic).length, unplaced: 3, beyond: 1, refused: 0, items: found, audience })
  }
  if (asked.plan !== planOf(found)) return refuse(409, 'registry_changed', 'The registry has changed since the preview; look at it again.')
  for (const move of found) {
    const index = channels.findIndex((each) => each.id === move.id)
    const before = channels[index]
    if (before !== undefined) channels[index] = { ...before, area_id: move.to_area_id }
  }
  return ok({ moved: found.length })
}
