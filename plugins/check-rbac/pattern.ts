/** How names are compared in roles and bindings: as Istio RBAC v1alpha1 does (exact, `*`, `abc*`, `*abc`). */

/** Of one text. `*` is anything that is there; `absent` is not. */
export function patternOf(text: string): (value: string) => boolean {
  if (text === '*') return () => true;
  if (text.endsWith('*')) {
    const prefix = text.slice(0, -1);
    return (value) => value.startsWith(prefix);
  }
  if (text.startsWith('*')) {
    const suffix = text.slice(1);
    return (value) => value.endsWith(suffix);
  }
  return (value) => value === text;
}

/** Of several: one that fits is enough. */
export function anyOf(texts: readonly string[]): (value: string) => boolean {
  const exact = new Set(texts.filter((text) => !isOpen(text)));
  const open = texts.filter(isOpen).map(patternOf);
  return (value) => exact.has(value) || open.some((fits) => fits(value));
}

export const isOpen = (text: string): boolean => text.startsWith('*') || text.endsWith('*');
