/**
 * Labels as one text, for carriers of texts: `app=web,version=v1`.
 * `undefined` if it is not of this form: a typing error must not read as a workload without labels.
 */
export function labelsOf(text: string | undefined): ReadonlyMap<string, string> | undefined {
  const labels = new Map<string, string>();
  if (text === undefined || text.trim() === '') return labels;
  for (const label of text.split(',')) {
    const at = label.indexOf('=');
    const name = label.slice(0, Math.max(0, at)).trim();
    if (name === '') return undefined;
    labels.set(name, label.slice(at + 1).trim());
  }
  return labels;
}
