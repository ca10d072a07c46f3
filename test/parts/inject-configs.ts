/** Configurations of an injection by the built-in templates. */
import { type Parameters10, template10 } from '../../src/inject/built-in/style-1.0.ts';
import { type ParametersToday, templateToday } from '../../src/inject/built-in/style-today.ts';
import type { InjectConfig, Style } from '../../src/inject/contract.ts';

export const config10 = (parameters: Partial<Parameters10> = {}): InjectConfig => ({
  policy: 'enabled',
  style: '1.0',
  template: template10({
    initImage: 'hub/proxy_init:1',
    proxyImage: 'hub/proxyv2:1',
    initCommand: [],
    imagePullPolicy: '',
    proxyUid: 1337,
    includeIPRanges: '*',
    excludeIPRanges: '',
    excludeInboundPorts: '',
    coreDump: false,
    debug: false,
    ...parameters,
  }),
});

export const configToday = (parameters: Partial<ParametersToday> = {}): InjectConfig => ({
  policy: 'enabled',
  style: 'today',
  template: templateToday({
    image: 'sluice-proxy:1',
    imagePullPolicy: 'IfNotPresent',
    nativeSidecar: false,
    ...parameters,
  }),
});

export const CONFIGS: Readonly<Record<Style, InjectConfig>> = { '1.0': config10(), today: configToday() };
