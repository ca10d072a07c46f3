/** Trust domains of a mesh, and their aliases. */

/** The principals that one stands for, by the trust domains of the mesh (Istio's pilot/pkg/security/trustdomain). */
export function withAliases(principals: readonly string[], trustDomains: readonly string[]): string[] {
  return principals.flatMap((principal) => {
    const [domain = '', ...rest] = principal.split('/');
    if (rest.length !== 4 || domain === '*') return [principal];
    const isSuffix = domain.startsWith('*');
    const isOf = (known: string): boolean => known === domain || (isSuffix && known.endsWith(domain.slice(1)));
    const isOurs = domain === 'cluster.local' || trustDomains.some(isOf);
    if (!isOurs) return [principal];
    return [
      ...new Set(trustDomains.map((known) => (isSuffix && isOf(known) ? principal : [known, ...rest].join('/')))),
    ];
  });
}
