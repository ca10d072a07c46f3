/** What injection takes and gives, for manifests and for admission webhooks alike. */

import type { JsonObject } from '../text/json-object.ts';

/** A pod, or the template of pods in a Deployment, Job ...; as JSON. */
export interface Pod {
  readonly metadata: JsonObject;
  readonly spec: JsonObject;
}

/** `1.0`: containers and annotations of Istio 1.0. `today`: those of current releases. */
export const STYLES = ['1.0', 'today'] as const;
export type Style = (typeof STYLES)[number];

/** Istio's ConfigMap `istio-sidecar-injector`, and the style of annotations. */
export interface InjectConfig {
  /** `enabled` or `disabled`: whether the webhook injects pods that say nothing; anything else disables. Manifests are always injected. */
  readonly policy: string;
  readonly template: string;
  readonly style: Style;
  /** Label selectors of pods, of the style `today`; asked where neither a label nor an annotation decides, the first list first. */
  readonly neverInjectSelector?: readonly JsonObject[];
  readonly alwaysInjectSelector?: readonly JsonObject[];
  /** Whether the agent makes the probes of pods that say nothing, of the style `today`. Default: it does. */
  readonly rewriteAppHTTPProbe?: boolean;
}

/** What the template adds to one pod, before it is merged or made a patch. */
export interface Injection {
  readonly initContainers: readonly JsonObject[];
  readonly containers: readonly JsonObject[];
  readonly volumes: readonly JsonObject[];
  readonly imagePullSecrets: readonly JsonObject[];
  /** Lists in which the added containers stand before the pod's own instead of after them. */
  readonly first: readonly InjectedList[];
  /** Fields of the pod's own containers in place of theirs, by container: probes and hooks that the agent makes, or makes no more. */
  readonly probes: ReadonlyMap<string, JsonObject>;
  /** Value of the annotation `sidecar.istio.io/status`. */
  readonly status: string;
  /** What of the pod has no effect, for people. */
  readonly warnings: readonly string[];
}

/** The lists that an injection adds to. */
export const INJECTED_LISTS = ['initContainers', 'containers', 'volumes', 'imagePullSecrets'] as const;
export type InjectedList = (typeof INJECTED_LISTS)[number];

/** Istio's name of the container with Envoy. */
export const PROXY_CONTAINER = 'istio-proxy';

export const STATUS_ANNOTATION = 'sidecar.istio.io/status';
