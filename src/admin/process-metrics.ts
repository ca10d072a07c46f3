/**
 * Metrics of the process and of Node, by the modules of @prometheus-io/client.
 *
 * Its `collectDefaultMetrics` would also load `gc`, which observes each collection: Node makes some 3 KB in the old generation for each,
 * and under access logs, with 200 collections a second, this garbage led to most of the major collections, which delay calls. promtool
 * rejects the names of `eventLoopUtilization`.
 */
import { Registry } from '@prometheus-io/client';
import eventLoopLag from '@prometheus-io/client/lib/metrics/eventLoopLag.js';
import heapSizeAndUsed from '@prometheus-io/client/lib/metrics/heapSizeAndUsed.js';
import heapSpacesSizeAndUsed from '@prometheus-io/client/lib/metrics/heapSpacesSizeAndUsed.js';
import osMemoryHeap from '@prometheus-io/client/lib/metrics/osMemoryHeap.js';
import processCpuTotal from '@prometheus-io/client/lib/metrics/processCpuTotal.js';
import processHandles from '@prometheus-io/client/lib/metrics/processHandles.js';
import processMaxFileDescriptors from '@prometheus-io/client/lib/metrics/processMaxFileDescriptors.js';
import processOpenFileDescriptors from '@prometheus-io/client/lib/metrics/processOpenFileDescriptors.js';
import processRequests from '@prometheus-io/client/lib/metrics/processRequests.js';
import processResources from '@prometheus-io/client/lib/metrics/processResources.js';
import processStartTime from '@prometheus-io/client/lib/metrics/processStartTime.js';
import version from '@prometheus-io/client/lib/metrics/version.js';

/** promtool rejects these names. nodejs_active_handles and similar gauges have the same data by type. */
const LEFT_OUT = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total'];
const LAG_RESOLUTION_MS = 10;

export function processMetrics(): Registry {
  const registry = new Registry();
  for (const collect of [
    processCpuTotal,
    processStartTime,
    osMemoryHeap,
    processOpenFileDescriptors,
    processMaxFileDescriptors,
    eventLoopLag,
    processResources,
    processHandles,
    processRequests,
    heapSizeAndUsed,
    heapSpacesSizeAndUsed,
    version,
  ])
    collect(registry, { eventLoopMonitoringPrecision: LAG_RESOLUTION_MS });
  for (const name of LEFT_OUT) registry.removeSingleMetric(name);
  return registry;
}
