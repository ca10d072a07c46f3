import { hostOf } from 'sluice/plugin';

/** Patterns of roles and bindings, as in Istio RBAC v1alpha1: exact, `*`, `abc*`, `*abc`. `*` matches any value that is present. */
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

/**
 * Matches any of several hosts, as Istio does: without case; `*.example.com` is all names below. The port matters only to a pattern with a
 * port, a trailing dot never. Text that names no host matches `*` alone.
 */
export function anyHostOf(hosts: readonly string[]): (host: string) => boolean {
  const hasPort = (host: string): boolean => /[^:]:\d+\.?$|\]:\d+$/.test(host);
  const asCompared = (pattern: string): string =>
    isOpen(pattern) ? pattern.toLowerCase().replace(/\.$/, '') : (hostOf(pattern) ?? '') + portIn(pattern);
  const withPort = anyOf(hosts.filter(hasPort).map(asCompared));
  const withoutPort = anyOf(hosts.filter((host) => !hasPort(host)).map(asCompared));
  const isAny = hosts.includes('*');
  return (host) => {
    const name = hostOf(host);
    return name === undefined ? isAny : withoutPort(name) || withPort(name + portIn(host));
  };
}

const portIn = (host: string): string => /:\d+$/.exec(host)?.[0] ?? '';

/** Matches any of several patterns. */
export function anyOf(texts: readonly string[]): (value: string) => boolean {
  const exact = new Set(texts.filter((text) => !isOpen(text)));
  const open = texts.filter(isOpen).map(patternOf);
  return (value) => exact.has(value) || open.some((matches) => matches(value));
}

export const isOpen = (text: string): boolean => text.startsWith('*') || text.endsWith('*');
