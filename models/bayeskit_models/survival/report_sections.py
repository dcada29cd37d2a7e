def survival_sections(fit, prob): return ()
