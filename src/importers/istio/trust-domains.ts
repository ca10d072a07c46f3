/** Trust domains of a mesh, and their aliases. */

/** The principals that one stands for, by the trust domains of the mesh (Istio's pilot/pkg/security/trustdomain). */
export function withAliases(principals: readonly string[], trustDomains: readonly string[]): string[] {
  return principals.flatMap((principal) => {
    const [domain = '', ...rest] = principal.split('/');
    if (rest.length !== 4 || domain === '*') return [principal];
    const isSuffix = domain.startsWith('*');
    const isOf = (known: string): boolean => known === domain || (isSuffix && known.endsWith(domain.slice(1)));
    const isOurs = domain === 'cluster.local' || trustDomains.some((known) => isOf(known) || isPattern(known, domain));
    if (!isOurs) return [principal];
    return [
      ...new Set(trustDomains.map((known) => (isSuffix && isOf(known) ? principal : [known, ...rest].join('/')))),
    ];
  });
}

/** An alias may be a pattern itself. */
const isPattern = (known: string, domain: string): boolean =>
  known === '*' ||
  (known.startsWith('*') && domain.endsWith(known.slice(1))) ||
  (known.endsWith('*') && domain.startsWith(known.slice(0, -1)));
