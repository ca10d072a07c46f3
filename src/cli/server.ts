/**
 * A whole server: policy, handlers, engine, frontends, transport and admin port, put together in one place.
 * **In**: paths of a policy, addresses, a log. **Out**: a server that answers, reloads and drains.
 * **Fails**: with a {@link CliError} before anything listens, and with nothing left open.
 */
import { resolve } from 'node:path';
import { startAdmin, type Admin } from '../admin/server.ts';
import { loadBuiltIns } from '../adapters/built-in.ts';
import { openHandler } from '../adapters/live.ts';
import { createPluginMetrics } from '../adapters/plugin-metrics.ts';
import { createSharedMemory } from '../adapters/shared-memory.ts';
import { createEngine } from '../core/engine.ts';
import type { OpenHandlers } from '../core/open-handler.ts';
import { loadPolicy } from '../core/rules/load.ts';
import type { Finding, Policy } from '../core/rules/policy.ts';
import { frontendMethods, healthMethods, reflectionMethods } from '../frontends/index.ts';
import { listen } from '../transport/index.ts';
import type { Transport } from '../transport/transport.ts';
import { type Address, addressText } from './address.ts';
import { CliError } from './cli-error.ts';
import { EXIT } from './exit-codes.ts';
import { findingsCount } from './findings.ts';
import type { OwnLog } from './log.ts';
