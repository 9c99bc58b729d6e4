rule simulation:
    """Make a landscape with known truth, its register and its archive."""
    output:
        register=directory("<results>/simulation/{simulation}/register"),
        archive=directory("<results>/simulation/{simulation}/archive"),
        truth=directory("<results>/simulation/{simulation}/truth"),
    log:
        "<logs>/simulation/{simulation}.log",
    benchmark:
        "<benchmarks>/simulation/{simulation}.tsv"
    conda:
        "../envs/geo.yaml"
    resources:
        mem="3 GiB",
        runtime="1h",
    params:
        settings=lambda wildcards: as_json(config["simulations"][wildcards.simulation]),
        seasons=lambda wildcards: as_json(
            {
                season: config["seasons"][season]
                for season in config["simulations"][wildcards.simulation]["seasons"]
            }
        ),
        code=room_code("simulation"),
    shell:
        r"""
        python -m cropflow simulate \
            --settings {params.settings:q} --seasons {params.seasons:q} \
            --register {output.register:q} --archive {output.archive:q} \
            --truth {output.truth:q} 2>{log:q}
        """
