/** A small demo district for working on the page without the service. Made up, deterministic. */
import type { Area, AreaKind, Channel, DeviceClass } from '../src/api'

export const areas: Area[] = []
export const channels: Channel[] = []

const streets = [
  '中仓街道', '新华街道', '北苑街道', '玉桥街道', '文景街道', '永顺镇', '梨园镇', '宋庄镇', '漷县镇',
  '张家湾镇', '西集镇', '永乐店镇', '潞城镇', '台湖镇', '马驹桥镇', '于家务回族乡',
]
const places = ['新华大街路口', '运河文化广场东门', '地铁站 A 口', '学校南门', '农贸市场', '河堤步道', '老旧小区北门', '公交场站', '物流园西门', '高层住宅楼顶', '人防通道入口', '胡同东口']
const classes: DeviceClass[] = ['police_hd', 'police_hd', 'police_hd', 'police_hd', 'high_altitude', 'civil_defence', 'alley']

function area(id: string, parent: string | null, kind: AreaKind, code: string, name: string): Area {
  const made = { id, parent_id: parent, kind, code, name, boundary_points: 0, schematic: false, channel_count: 0 }
  areas.push(made)
  return made
}

const counts = new Map<string, number>()
const district = area('ar_0', null, 'district', '110112', '通州区')
for (const [s, street] of streets.entries()) {
  const streetArea = area(`ar_${s}`.padEnd(6, 's'), district.id, 'street', `110112${String(s + 1).padStart(3, '0')}`, street)
  for (let c = 0; c < 2; c++) {
    const name = `第${'一二'[c] ?? ''}社区`
    const community = area(`${streetArea.id}_${c}`, streetArea.id, 'community', `${streetArea.code}00${c}`, name)
    const grid = area(`${community.id}_g`, community.id, 'grid', `${community.code}01`, '01 网格')
    for (let n = 0; n < 6; n++) {
      const number = channels.length
      const place = places[number % places.length] ?? ''
      channels.push({
        id: `ch_${number}`, code: `1101120${String(s).padStart(2, '0')}0013${String(number).padStart(7, '0')}`,
        name: `${street.replace(/(街道|镇|回族乡)$/, '')} ${place} ${n + 1} 号`,
        device_class: classes[number % classes.length] ?? 'police_hd', area_id: grid.id,
        area_path: [district.name, street, name, grid.name], enabled: number !== 8, filing: number % 5 === 1 ? 'draft' : number % 7 === 2 ? 'reviewed' : 'filed', profiles: ['main', 'sub'],
        may: number === 9 ? [] : ['live', 'snapshot'], purpose_for: [], lon: null, lat: null,
      })
      for (const each of [district, streetArea, community, grid]) counts.set(each.id, (counts.get(each.id) ?? 0) + 1)
    }
  }
}
for (const [i, each] of areas.entries()) areas[i] = { ...each, channel_count: counts.get(each.id) ?? 0 }

export function isWithin(areaId: string, root: string): boolean {
  for (let at: string | null = areaId; at !== null; at = areas.find((a) => a.id === at)?.parent_id ?? null) {
    if (at === root) return true
  }
  return false
}
