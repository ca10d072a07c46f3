/**
 * The host of an authority, in lower case, without port and trailing dot: `SHOP.example.com:443` and `shop.example.com.` are both
 * `shop.example.com`. An IPv6 address keeps its brackets.
 */
export function hostName(host: string): string {
  const end = host.lastIndexOf(':');
  const isPort = (end > 0 && host.indexOf(':') === end) || host[end - 1] === ']';
  const name = (isPort ? host.slice(0, end) : host).toLowerCase();
  return name.endsWith('.') ? name.slice(0, -1) : name;
}
