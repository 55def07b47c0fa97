"""Side-by-side benchmarks: knerve beside other reconstructions, on the same simulated data, in turns.

cases.py -> source.py -> case_files.py     what is reconstructed: simulated raw data, whitened once for all, known truth
methods.py, peers/                         who reconstructs: one file a tool
search.py                                  the best weight and iterations of each tool that needs them
worker.py, worker_process.py, rounds.py    each method in its own process, all in turns, A B C A B C
score.py, results.py                       error against the truth, medians, ratios
table.py, plot.py, report.py, history.py   what is told
run.py                                     all of it on one page
"""
