"""How far a data set is from what a model knows, how diverse it is, and what that says before queries are spent.

`features` makes features of images, `feature_store` keeps those of whole sets; `statistics`, `frechet`, `kernels`,
`coverage` and `lpips` are the numbers, `bootstrap` says how far to trust them, `measure` puts them together. `gain`
and `advice` turn numbers into a verdict; they need no torch.
"""
