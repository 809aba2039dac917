/** Hands a file that the page holds over to the browser's downloads. */

export function saveFile(content: Blob, name: string): void {
  const url = URL.createObjectURL(content)
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.click()
  // The browser has its own reference by then.
  setTimeout(() => URL.revokeObjectURL(url), 0)
}

/** `cameras.csv` becomes `cameras.errors.xlsx`. */
export function workbookName(fileName: string): string {
  return `${fileName.replace(/\.[^.]*$/, '')}.errors.xlsx`
}
