/** What a value is, for messages about one that was not expected; never its content, which may be secret or large. */
export function kindOf(value: unknown): string {
  if (value === null || value === undefined || typeof value === 'boolean') return String(value);
  if (Array.isArray(value)) return 'a list';
  if (typeof value !== 'object') return `a ${typeof value}`;
  return typeof (value as { readonly then?: unknown }).then === 'function' ? 'a promise' : 'an object';
}
