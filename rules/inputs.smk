# Input functions: which entries and files belong to a job, from the config alone, in the order of the rooms.


def register_seasons(register):
    """Seasons that a register covers."""
    found = config["registers"][register]
    if found["simulation"]:
        return config["simulations"][found["simulation"]]["seasons"]
    return list(found["files"])


def has_labels(region, season):
    """True where a register covers a region in a season."""
    register = config["regions"][region]["register"]
    return register is not None and season in register_seasons(register)


def sample_set(experiment):
    """Name and entry of the sample set of an experiment."""
    name = config["experiments"][experiment]["set"]
    return name, config["sets"][name]


def fold_numbers(experiment):
    """Folds of an experiment."""
    return range(sample_set(experiment)[1]["folds"]["count"])


def side_by_side(wildcards):
    """Threads of a job whose start costs more than its work: the folds share the cores."""
    return max(1, (workflow.cores or 4) // len(fold_numbers(wildcards.experiment)))


def is_network(experiment):
    """Whether the model of an experiment is trained in epochs; baselines know none."""
    return "epochs" in config["experiments"][experiment]["model"]


def training_threads(wildcards):
    """A network uses many threads; forests grow side by side."""
    return 8 if is_network(wildcards.experiment) else side_by_side(wildcards)


def training_gpus(wildcards):
    """GPUs of a node that a network is trained on; the others learn on CPUs."""
    if not is_network(wildcards.experiment):
        return 0
    return config["experiments"][wildcards.experiment]["model"]["devices"] or 1


def tuned_experiments():
    """Experiments that search for settings of their model."""
    return [name for name, found in config["experiments"].items() if found["tuning"]]


def trial_numbers(experiment):
    """Trials of the search of an experiment."""
    search = config["experiments"][experiment]["tuning"]
    if search["trials"] is not None:
        return range(search["trials"])
    count = 1
    for values in search["parameters"].values():
        count *= len(values)
    return range(count)


def trials_before(wildcards):
    """Trials that one learns from: none in a grid, all of earlier rounds otherwise."""
    search = config["experiments"][wildcards.experiment]["tuning"]
    if search["search"] == "grid":
        return range(0)
    return range(int(wildcards.trial) // search["at_once"] * search["at_once"])


def trial_files(wildcards, numbers, name):
    """A file or folder of some trials of a fold, in their order."""
    return [
        f"<results>/models/{wildcards.experiment}/{wildcards.fold}/trials/{number}/{name}"
        for number in numbers
    ]


def tuning_settings(wildcards):
    """The search of an experiment."""
    return as_json(config["experiments"][wildcards.experiment]["tuning"])


def tuning_tables(experiment):
    """What the trials of each fold tried and scored, where an experiment searches."""
    if not config["experiments"][experiment]["tuning"]:
        return []
    return [
        f"<results>/models/{experiment}/{fold}/tuning.json" for fold in fold_numbers(experiment)
    ]


def training_places(experiment):
    """Regions and seasons that an experiment trains on, in order."""
    return [
        (place["region"], place["season"]) for place in config["experiments"][experiment]["train"]
    ]


def mapped_places(experiment):
    """Regions and seasons that an experiment maps, in order."""
    return [
        (place["region"], place["season"]) for place in config["experiments"][experiment]["map"]
    ]


def start_model(wildcards):
    """The model of the same fold that a transfer starts from; nothing where a model starts from fresh weights."""
    transfer = config["experiments"][wildcards.experiment]["transfer"]
    if not transfer:
        return []
    return f"<results>/models/{transfer['experiment']}/{wildcards.fold}/model"


def start_options(wildcards, input):
    """The --start and --transfer of a model."""
    transfer = config["experiments"][wildcards.experiment]["transfer"]
    if not transfer:
        return ""
    return f"{options('--start', input.start)} {options('--transfer', as_json(transfer))}"


def set_seasons(name, region):
    """Seasons in which any experiment learns from a region with a set: their folds are laid out together."""
    return sorted(
        {
            place["season"]
            for experiment in config["experiments"].values()
            if experiment["set"] == name
            for place in experiment["train"]
            if place["region"] == region
        }
    )


def sample_folders(experiment):
    """Sample folders of an experiment's training places."""
    name, _ = sample_set(experiment)
    return [
        f"<results>/samples/{name}/{region}/{season}"
        for region, season in training_places(experiment)
    ]


def kind_folders(experiment):
    """Folders of the samples that the model of an experiment learns from, of its training places."""
    name, _ = sample_set(experiment)
    kind = learnt_samples[experiment]
    return [
        f"<results>/samples/{name}/{region}/{kind}/{season}"
        for region, season in training_places(experiment)
    ]


# Settings of a sample set that samples of one kind alone depend on.
SETTINGS_OF_KINDS = {
    "patches": {"patch_size"},
    "pixel_sets": {"history"},
    "chips": {"chip_size", "chips_per_crop"},
}


def set_settings(kind=None):
    """A sample set without what only samples of other kinds depend on: that must not rerun the rule."""
    others = set().union(*(keys for name, keys in SETTINGS_OF_KINDS.items() if name != kind))

    def chosen(wildcards):
        found = config["sets"][wildcards.set]
        return as_json({key: value for key, value in found.items() if key not in others})

    return chosen


def set_history(wildcards):
    """History of the parcels of a place, where a set asks for it."""
    if not config["sets"][wildcards.set]["history"]:
        return []
    register = config["regions"][wildcards.region]["register"]
    key = legend_key(config["sets"][wildcards.set]["legend"])
    return f"<results>/labels/{register}/{wildcards.season}/history/{key}.parquet"


def set_history_legend(wildcards):
    """The legend whose crops a history tells of, where the user brings one as a file."""
    found = config["sets"][wildcards.set]
    return found["legend"] if found["history"] and found["legend"].endswith(".csv") else []


def fold_tables(experiment):
    """Fold tables of an experiment's training places."""
    name, _ = sample_set(experiment)
    return [
        f"<results>/samples/{name}/{region}/folds.parquet"
        for region, _ in training_places(experiment)
    ]


def composites_of_place(samples, region, season):
    """Composites of a place as the entry of a sample set asks for them, sensor by sensor."""
    return [
        f"<results>/composites/{samples['series']}/{region}/{season}/{sensor}.zarr"
        for sensor in samples["sensors"]
    ]


def composites_of(experiment, places):
    """Composites of places, place by place and in each of them sensor by sensor."""
    _, samples = sample_set(experiment)
    return [
        store for region, season in places for store in composites_of_place(samples, region, season)
    ]


def parcels_of_register(wildcards):
    """Cleaned parcels of the register that covers a region."""
    register = config["regions"][wildcards.region]["register"]
    return f"<results>/labels/{register}/{wildcards.season}/parcels.parquet"


def clustered_parcels(wildcards):
    """Parcels of the season whose clusters make the sites of a region."""
    found = config["regions"][wildcards.region]
    if not found["choose"] or found["choose"]["method"] != "clusters":
        return []
    return f"<results>/labels/{found['register']}/{found['choose']['season']}/parcels.parquet"


def files_of_choice(wildcards):
    """Local files from which the sites of a region are chosen: a map of land cover, the polygons of a frame."""
    chosen = config["regions"][wildcards.region]["choose"] or {}
    strata, frame = chosen.get("strata") or {}, chosen.get("frame") or {}
    places = [chosen.get("raster"), frame.get("path"), strata.get("raster")]
    return [place for place in places if place and "://" not in place]


def composites_of_set(wildcards):
    """Composites of a place, as a sample set asks for them."""
    return composites_of_place(config["sets"][wildcards.set], wildcards.region, wildcards.season)


def legend_table(experiment, region, season):
    """Crops of the parcels of a place in the legend of an experiment."""
    register = config["regions"][region]["register"]
    key = legend_key(sample_set(experiment)[1]["legend"])
    return f"<results>/labels/{register}/{season}/legends/{key}.parquet"


def options(name, values):
    """Repeat an option once per value; one value may stand alone."""
    several = [values] if isinstance(values, str) else values
    return " ".join(f"{name} {shlex.quote(str(value))}" for value in several)


def place_options(experiment):
    """The --place options of an experiment's training places."""
    return options(
        "--place", [f"{region}/{season}" for region, season in training_places(experiment)]
    )


def label_kinds(experiment):
    """Where the labels of an experiment's training places come from: a survey or a map."""
    return [
        config["registers"][config["regions"][region]["register"]]["kind"]
        for region, _ in training_places(experiment)
    ]


def experiment_settings(wildcards):
    """An experiment without what it maps and is compared with: those never change its scores."""
    return as_json({**config["experiments"][wildcards.experiment], "map": [], "compare": []})


def register_file(wildcards):
    """The file of a season as the config names it."""
    return config["registers"][wildcards.register]["files"][wildcards.season]


def register_source(wildcards):
    """Where the register of a season lies: a simulation's folder, a local file, or the download.

    Nothing where it is read from its address.
    """
    found = config["registers"][wildcards.register]
    if found["simulation"]:
        return f"<results>/simulation/{found['simulation']}/register"
    file = found["files"][wildcards.season]
    if file["path"]:
        return file["path"]
    if file["ranges"] or file["earth_engine"]:
        return []
    name = file["url"].split("?")[0].rsplit("/", 1)[1]
    return f"<results>/labels/{wildcards.register}/{wildcards.season}/download/{name}"


def source_or_address(wildcards, input):
    """The --source of a register: its local input, or the address that it is read from."""
    if input.source:
        return input.source
    file = register_file(wildcards)
    return file["url"] or f"ee://{file['earth_engine']}"


def register_beside(wildcards):
    """Files that a register reads beside its source: what its folder holds for the season, and what it names."""
    found = config["registers"][wildcards.register]
    files = [found[name]["path"] for name in ("national", "provinces", "calendar") if found[name]]
    if found["reader"] == "isrc":
        # A changed file leaves the time of a folder above it as it was.
        file = found["files"][wildcards.season]
        year = file["layer"] or wildcards.season
        files += sorted(
            str(path) for path in Path(file["path"] or ".").rglob(f"{year}/*") if path.is_file()
        )
    return files


def undated_settings(wildcards):
    """A register without what changes no parcel: the window before harvest, and how codes become crops."""
    found = json.loads(register_settings(wildcards))
    found |= {"unmapped": "stop", "minimum_share_percent": 0}
    if found["calendar"]:
        del found["calendar"]["window"]
    return as_json(found)


def calendar_of(wildcards):
    """The workbook of crop calendars."""
    calendar = config["registers"][wildcards.register]["calendar"]
    if not calendar:
        refuse(
            f"registers.{wildcards.register} has no calendar; windows before harvest need one. Name the workbook."
        )
    return calendar["path"]


def register_settings(wildcards):
    """A register with the one season's layer and encoding: where a file lies is no setting, and its address may be secret."""
    found = config["registers"][wildcards.register]
    files = {
        season: {"path": "-", "layer": file["layer"], "encoding": file["encoding"]}
        for season, file in found["files"].items()
        if season == wildcards.season
    }
    return as_json({**found, "files": files, "history": {}})


def legend_key(legend):
    """What results are named after: a legend's name, or that of its file."""
    return Path(legend).stem if legend.endswith(".csv") else legend


def legend_source(key):
    """The legend that results are named after: its name, or the path of the user's file."""
    legends = [found["legend"] for found in config["sets"].values()]
    return {legend_key(legend): legend for legend in legends}.get(key, key)


def own_legend(wildcards):
    """The legend, where the user brings one as a file."""
    legend = legend_source(wildcards.legend)
    return legend if legend.endswith(".csv") else []


def experiment_legend(wildcards):
    """The legend of an experiment, where the user brings one as a file: names, colours and levels are read from it."""
    legend = sample_set(wildcards.experiment)[1]["legend"]
    return legend if legend.endswith(".csv") else []


def own_table(wildcards):
    """The mapping table, where the user brings one as a file or in the folder beside the legend's."""
    table = config["registers"][wildcards.register]["table"]
    legend = legend_source(wildcards.legend)
    if table.endswith(".csv"):
        return table
    return str(Path(legend).with_suffix("") / f"{table}.csv") if legend.endswith(".csv") else []


def campaign(wildcards):
    """The year of a register's declaration: as its file says, or the year in which the season ends."""
    file = config["registers"][wildcards.register]["files"].get(wildcards.season, {})
    return file.get("campaign") or int(str(config["seasons"][wildcards.season]["end"])[:4])


def years_before(season, earlier):
    """Years between the starts of two seasons, rounded; negative where the other is later."""
    starts = [date.fromisoformat(config["seasons"][name]["start"]) for name in (season, earlier)]
    return round((starts[0] - starts[1]).days / 365.25)


def earlier_seasons(wildcards, published_only=False):
    """Earlier seasons of a register within the years that its history looks back: years before -> name."""
    found = {}
    history = config["registers"][wildcards.register]["history"]
    for name in register_seasons(wildcards.register):
        lag = years_before(wildcards.season, name)
        if not 1 <= lag <= history["years"]:
            continue
        if lag in found:
            refuse(
                f"Seasons {found[lag]!r} and {name!r} of register {wildcards.register!r} both start {lag} years before "
                f"{wildcards.season!r}; expected one season a year. Name them in registers of their own."
            )
        found[lag] = name
    if published_only:
        found = {lag: name for lag, name in found.items() if lag > history["publication_lag"]}
    if not found:
        seasons = ", ".join(register_seasons(wildcards.register))
        withheld = history["publication_lag"] if published_only else 0
        lag = f"; publication_lag withholds the last {withheld}" if withheld else ""
        refuse(
            f"Register {wildcards.register!r} has no season in the {history['years']} years before {wildcards.season!r} "
            f"(it has {seasons}{lag}); expected at least one. Add its files, raise "
            f"registers.{wildcards.register}.history.years, or do without history in the sample set."
        )
    return dict(sorted(found.items()))


def overlays(wildcards, published_only=False):
    """Overlays with the earlier seasons, the nearest first."""
    return [
        f"<results>/labels/{wildcards.register}/{wildcards.season}/overlays/{name}.parquet"
        for name in earlier_seasons(wildcards, published_only).values()
    ]


def earlier_files(name):
    """A file of every earlier season whose register is out, the nearest first."""
    return lambda wildcards: [
        f"<results>/labels/{wildcards.register}/{season}/{name.format(**wildcards)}"
        for season in earlier_seasons(wildcards, published_only=True).values()
    ]


def history_entry(*keys):
    """Keys of a register's history that a rule uses; others must not rerun it."""
    return lambda wildcards: as_json(
        {key: config["registers"][wildcards.register]["history"][key] for key in keys}
    )


def history_settings(wildcards):
    """A register with the years that its history looks back."""
    years = json.loads(history_entry("years", "publication_lag")(wildcards))
    return as_json({**json.loads(register_settings(wildcards)), "history": years})


def imagery_entry(wildcards):
    """The imagery of a region."""
    return imagery_of(wildcards.region)


def imagery_of(region):
    """The imagery of a region, by the region's name."""
    return config["imagery"][config["regions"][region]["imagery"]]


def series_settings(wildcards):
    """A series without what changes no pixel of the sensor."""
    optical = wildcards.sensor == "sentinel2"
    unused = {"radar"} if optical else {"statistic", "pair", "mask", "indices"}
    found = config["series"][wildcards.series]
    return as_json({key: value for key, value in found.items() if key not in unused})


def imagery_source(wildcards):
    """Where local scenes lie; nothing where a service is asked."""
    found = imagery_entry(wildcards)
    if asks_service(wildcards):
        return []
    source = simulated_or(found["path"], found["simulation"], "archive")
    if found["source"] == "items" and found["path"] and Path(source).is_dir():
        # A changed file leaves the time of its folder as it was.
        family = "sentinel-2" if wildcards.sensor == "sentinel2" else "sentinel-1"
        files = [str(file) for file in Path(source).glob(f"{family}-*.items.json")]
        return files if len(files) == 1 else source
    return source


def asks_service(wildcards):
    """1 where scenes come from a service, whose limits hold for one job at a time, else 0."""
    return int(imagery_entry(wildcards)["source"] in ("stac", "earth_engine"))


def requests_at_once(wildcards):
    """Requests in flight: a resource and no parameter, since another pace fetches nothing again."""
    return imagery_entry(wildcards)["requests_at_once"]


def requests_per_second(wildcards):
    """Requests a second, as text: resources are whole numbers otherwise."""
    return str(imagery_entry(wildcards)["requests_per_second"])


def fetch_memory(wildcards):
    """Memory of an export: each request in flight holds an answer, of 48 MB at most, and its pixels."""
    flying = requests_at_once(wildcards) if asks_service(wildcards) else 0
    return f"{2048 + 128 * flying} MiB"


def found_scenes(wildcards):
    """Scenes found of every sensor of a region's imagery."""
    return [
        f"<results>/imagery/{wildcards.region}/{wildcards.season}/found/{sensor}.parquet"
        for sensor in imagery_entry(wildcards)["sensors"]
    ]


def sensor_settings(wildcards):
    """The imagery of a region without what changes no pixel of the sensor: what others need, budget and pace."""
    found = imagery_entry(wildcards)
    if wildcards.sensor not in found["sensors"]:
        refuse(
            f"imagery.{config['regions'][wildcards.region]['imagery']}.sensors is {found['sensors']}, without "
            f"{wildcards.sensor!r}, which a result of region {wildcards.region!r} needs. Add it."
        )
    optical = wildcards.sensor == "sentinel2"
    unused = {"sensors", "budget", "requests_at_once", "requests_per_second"} | (
        {"assume_radiometry", "relative_orbits"}
        if optical
        else {"bands", "maximum_cloud_percent", "assume_baseline", "cloud_score"}
    )
    mine = {key: value for key, value in found.items() if key not in unused}
    family = wildcards.sensor.partition("_")[0]
    collections = {key: name for key, name in found["collections"].items() if key == family}
    return as_json({**mine, "sensors": [wildcards.sensor], "collections": collections})


def composited_by(reduce):
    """Pattern of the regions whose scenes are composited here (local) or by Earth Engine (server)."""
    found = [region for region in config["regions"] if imagery_of(region)["reduce"] == reduce]
    return "|".join(found) or "none^"


def server_series(wildcards):
    """Entries of the series that Earth Engine composites for a place; none where scenes are composited here."""
    if imagery_entry(wildcards)["reduce"] != "server":
        return []
    place = (wildcards.region, wildcards.season)
    names = {
        sample_set(experiment)[1]["series"]
        for experiment in config["experiments"]
        if place in [*training_places(experiment), *mapped_places(experiment)]
    }
    return [as_json(config["series"][name]) for name in sorted(names)]


def catalogues_of(experiment, places):
    """Catalogues of the scenes of places, all sensors; composites of the server come with their own."""
    series = sample_set(experiment)[1]["series"]
    return [
        (
            f"<results>/composites/{series}/{region}/{season}/{sensor}.parquet"
            if imagery_of(region)["reduce"] == "server"
            else f"<results>/imagery/{region}/{season}/{sensor}.parquet"
        )
        for region, season in places
        for sensor in imagery_of(region)["sensors"]
    ]


def window_queries(wildcards):
    """Windows before harvest, where a series asks for them."""
    if not config["series"][wildcards.series]["window"]:
        return []
    register = config["regions"][wildcards.region]["register"]
    return f"<results>/labels/{register}/{wildcards.season}/queries.parquet"


def window_parcels(wildcards):
    """Parcels of the sites, whose provinces choose the window."""
    if not config["series"][wildcards.series]["window"]:
        return []
    return f"<results>/regions/{wildcards.region}/{wildcards.season}/parcels"


def set_crops(wildcards, seasons):
    """Crops of a region's parcels in the legend of a set, per season."""
    register = config["regions"][wildcards.region]["register"]
    key = legend_key(config["sets"][wildcards.set]["legend"])
    return [f"<results>/labels/{register}/{season}/legends/{key}.parquet" for season in seasons]


def folds_parcels(wildcards):
    return [
        f"<results>/regions/{wildcards.region}/{season}/parcels"
        for season in set_seasons(wildcards.set, wildcards.region)
    ]


def folds_crops(wildcards):
    return set_crops(wildcards, set_seasons(wildcards.set, wildcards.region))


def all_predictions(experiment):
    """Test predictions of every fold of an experiment."""
    return [
        f"<results>/models/{experiment}/{fold}/predictions.zarr"
        for fold in fold_numbers(experiment)
    ]


def map_predictions(wildcards):
    """Test predictions, where the mapped place is one that the experiment learnt from."""
    place = (wildcards.region, wildcards.season)
    return (
        all_predictions(wildcards.experiment)
        if place in training_places(wildcards.experiment)
        else []
    )


def map_folds(wildcards):
    """Fold table, where the experiment learnt from the region in any season."""
    regions = {region for region, _ in training_places(wildcards.experiment)}
    name, _ = sample_set(wildcards.experiment)
    return (
        f"<results>/samples/{name}/{wildcards.region}/folds.parquet"
        if wildcards.region in regions
        else []
    )


def map_models(wildcards):
    return [
        f"<results>/models/{wildcards.experiment}/{fold}/model"
        for fold in fold_numbers(wildcards.experiment)
    ]


def map_parcels(wildcards):
    """Parcels of the place, where a register covers it."""
    if not has_labels(wildcards.region, wildcards.season):
        return []
    return f"<results>/regions/{wildcards.region}/{wildcards.season}/parcels"


def map_crops(wildcards):
    if not has_labels(wildcards.region, wildcards.season):
        return []
    return legend_table(wildcards.experiment, wildcards.region, wildcards.season)


def experiment_histories(experiment, places):
    """Histories of the parcels of places, where the model of an experiment learns from pixel sets that have them."""
    _, samples = sample_set(experiment)
    if not samples["history"] or learnt_samples[experiment] != "pixel_sets":
        return []
    key = legend_key(samples["legend"])
    return [
        f"<results>/labels/{config['regions'][region]['register']}/{season}/history/{key}.parquet"
        for region, season in places
        if has_labels(region, season)
    ]


def compared(experiment):
    """Experiments whose scores stand in a report: its own and those it is compared with."""
    return [experiment, *config["experiments"][experiment]["compare"]]


def compared_models(wildcards):
    """Models of the experiments that a report compares its own with."""
    return [
        f"<results>/models/{name}/{fold}/model"
        for name in compared(wildcards.experiment)[1:]
        for fold in fold_numbers(name)
    ]


def labels_of(wildcards, name):
    """A summary of the labels room for every training place."""
    return [
        f"<results>/labels/{config['regions'][region]['register']}/{season}/{name}"
        for region, season in training_places(wildcards.experiment)
    ]


def simulations_of(wildcards):
    """Truth folders of the simulations behind the training places."""
    names = {
        config["imagery"][config["regions"][region]["imagery"]]["simulation"]
        for region, _ in training_places(wildcards.experiment)
    }
    return [f"<results>/simulation/{name}/truth" for name in sorted(names - {None})]


def report_settings(wildcards):
    """The experiment, its set, series and seasons: what a reader needs to judge the scores."""
    experiment = config["experiments"][wildcards.experiment]
    places = training_places(wildcards.experiment) + mapped_places(wildcards.experiment)
    _, samples = sample_set(wildcards.experiment)
    return as_json(
        {
            "experiment": experiment,
            "set": samples,
            "series": config["series"][samples["series"]],
            "seasons": {season: config["seasons"][season] for _, season in places},
            "simulations": sorted(Path(folder).parent.name for folder in simulations_of(wildcards)),
        }
    )
