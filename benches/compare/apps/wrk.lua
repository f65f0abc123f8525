-- wrk's results in a form that a program reads exactly.
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format(
    'RESULT {"requests":%.0f,"bytes":%.0f,"us":%.0f,"p50":%.0f,"p99":%.0f,"errors":%.0f}\n',
    summary.requests, summary.bytes, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
