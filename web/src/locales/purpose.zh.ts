/** Chinese words of the question what for. */
export const purposeZh = {
  'purpose.ask': '查看前请说明事由',
  'purpose.for': '以下摄像机：',
  'purpose.choose': '请选择事由',
  'purpose.label': '事由',
  'purpose.note': '补充说明',
  'purpose.note_needed': '补充说明（必填）',
  'purpose.note_hint': '如案件编号，最多 160 字',
  'purpose.kept': '事由记入审计日志。',
  'purpose.watch': '查看',
  'purpose.elsewhere': '请在第 {n} 格说明事由',
  'purpose.waits': '等待说明事由',
  'purpose.no_still': '检测图片仅供有抓拍权限的人查看；停用的摄像机不提供。',
  'purpose.show_still': '显示图片',
  'purpose.still_failed': '抓拍未能取得：{reason}',
} as const
