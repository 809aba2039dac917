/** 本人账号的文字。 */
export const accountZh = {
  'account.title': '我的账号',
  'account.open': '我的账号：{name}',
  'account.sign_ins': '已登录的位置',
  'account.sign_ins.about': '结束一处登录，那里正在查看的画面会立即停止。',
  'account.since': '登录于 {since}，最近使用 {used}',
  'account.current': '当前页面',
  'account.end': '结束',
  'account.end_others': '结束其他所有登录',
  'account.failed': '未能完成（{code}）。',
}
