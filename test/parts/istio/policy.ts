/** AuthorizationPolicy, as far as the comparison with Envoy's RBAC filter writes it. */
type Values = readonly string[];
type Field<N extends string> = Partial<Readonly<Record<N | `not${Capitalize<N>}`, Values>>>;

export type Source = Field<
  'principals' | 'requestPrincipals' | 'namespaces' | 'serviceAccounts' | 'trustDomains' | 'ipBlocks' | 'remoteIpBlocks'
>;
export type Operation = Field<'hosts' | 'ports' | 'methods' | 'paths'>;
export interface Condition {
  readonly key: string;
  readonly values?: Values;
  readonly notValues?: Values;
}
export interface PolicyRule {
  readonly from?: readonly { readonly source: Source }[];
  readonly to?: readonly { readonly operation: Operation }[];
  readonly when?: readonly Condition[];
}
export interface PolicyDocument {
  readonly apiVersion: 'security.istio.io/v1';
  readonly kind: 'AuthorizationPolicy';
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec: { readonly action: 'ALLOW' | 'DENY'; readonly rules?: readonly PolicyRule[] };
}
