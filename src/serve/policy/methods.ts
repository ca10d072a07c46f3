import type { Engine } from '../../core/call.ts';
import {
  FRONTEND_SERVICE_NAMES,
  FRONTEND_SERVICES,
  frontendMethods,
  type FrontendOptions,
  healthMethods,
  reflectionMethods,
} from '../../frontends/index.ts';
import type { Methods } from '../../transport/index.ts';

/** All methods of the gRPC port: Envoy's three protocols, health and reflection. */
export function methodsOf(engine: Engine, isServing: () => boolean, options: FrontendOptions = {}): Methods {
  return new Map([
    ...frontendMethods(engine, options),
    ...healthMethods({ services: FRONTEND_SERVICE_NAMES, isServing }),
    ...reflectionMethods(FRONTEND_SERVICES),
  ]);
}
