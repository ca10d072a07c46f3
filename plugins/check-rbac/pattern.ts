import { hostName } from '../host-names/host-name.ts';

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

/**
 * Of several hosts, as Istio compares them: without case, `*.example.com` is all names below. A port counts only where the
 * pattern has one; a final dot never does.
 */
export function anyHostOf(hosts: readonly string[]): (host: string) => boolean {
  const hasPort = (host: string): boolean => /[^:]:\d+\.?$|\]:\d+$/.test(host);
  const withPort = anyOf(hosts.filter(hasPort).map((host) => host.toLowerCase()));
  const withoutPort = anyOf(hosts.filter((host) => !hasPort(host)).map(hostName));
  return (host) => withoutPort(hostName(host)) || withPort(portedHost(host));
}

/** `Shop.example.com.:8080` is `shop.example.com:8080`. */
function portedHost(host: string): string {
  const [port = ''] = /:\d+$/.exec(host) ?? [];
  return hostName(host) + port;
}

/** Of several: one that fits is enough. */
export function anyOf(texts: readonly string[]): (value: string) => boolean {
  const exact = new Set(texts.filter((text) => !isOpen(text)));
  const open = texts.filter(isOpen).map(patternOf);
  return (value) => exact.has(value) || open.some((fits) => fits(value));
}

export const isOpen = (text: string): boolean => text.startsWith('*') || text.endsWith('*');
