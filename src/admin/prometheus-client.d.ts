/** Modules of @prometheus-io/client that it has no types for. */
declare module '@prometheus-io/client/lib/metrics/*' {
  import type { Registry } from '@prometheus-io/client';
  const collect: (registry: Registry, options: { readonly eventLoopMonitoringPrecision: number }) => void;
  export default collect;
}
